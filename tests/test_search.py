import dataclasses

import numpy as np
import pytest

from toolkit import bundle
from toolkit.errors import MatchError, OutputError, RecipeError
from toolkit.requirement import required
from toolkit.search import Budget, compress


def test_files_and_figures_come_out(frontier):
    assert [a.name for a in frontier.candidates] == ["float16", "int8"]
    for a in (frontier.base, *frontier.candidates):
        assert a.path.stat().st_size == a.nbytes
        assert frontier.run.measured(a.name, "export_difference").value <= 1e-5
    assert frontier.chosen is not None
    assert frontier.run.chosen == frontier.chosen.name


def test_a_limit_that_none_meets(saved, digits, tmp_path):
    found = compress(saved, digits, ["float16"], budget=Budget(max_bytes=100), out=tmp_path)
    assert found.chosen is None
    assert "more than 100" in found.misses["float16"]


def test_a_drop_must_be_ruled_out_and_not_only_unseen(saved, digits, tmp_path):
    """450 rows cannot prove a loss below a hundredth of a point, even where none is seen."""
    found = compress(saved, digits, ["float16"], budget=Budget(max_drop=0.01), out=tmp_path)
    assert found.run.measured("float16", "accuracy_drop").value == 0
    assert found.chosen is None
    assert "one-sided 95 % bound" in found.misses["float16"]


def test_a_shared_beginning_is_run_once(wine, tabular, tmp_path):
    from toolkit.passes import PASSES
    from toolkit.recipe import Recipe

    taught = PASSES["distil"](epochs=1)
    recipes = [Recipe("a", (taught,)), Recipe("b", (taught, PASSES["float16"]()))]
    found = compress(tabular, wine, recipes, out=tmp_path)
    one, two = (next(f for f in a.facts if "teacher" in f) for a in found.candidates)
    assert one["seconds"] == two["seconds"]
    assert len(found.run.histories) == 1


def test_a_base_fed_the_wrong_range_is_noticed(tmp_path):
    """A net that tells dark from bright in 0..1, given 0..255, calls everything bright."""
    import keras

    from toolkit.data.splits import Raw, split

    rng = np.random.default_rng(0)
    bright = rng.uniform(0, 1, 400)
    x = np.repeat(bright, 16).reshape(400, 4, 4)
    model = keras.Sequential(
        [
            keras.layers.Input((4, 4, 1)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model.set_weights([np.float32([[40.0]]), np.float32([-20.0])])
    y = (bright > 0.5).astype(int)
    compress(model, split(Raw("right", x, y)), ["float16"], out=tmp_path / "right")
    with pytest.raises(MatchError, match="--scale"):
        compress(model, split(Raw("wrong", 255 * x, y)), ["float16"], out=tmp_path / "wrong")


def test_a_demand_on_the_worst_class_leaves_candidates_out(frontier, saved, digits, tmp_path):
    right = {
        m.name: m.value
        for m in frontier.run.measurements
        if m.subject == "float16" and m.name.startswith("accuracy class:")
    }
    worst = min(right, key=lambda name: right[name])
    met, missed = (required(f"accuracy class:* >= {right[worst] + d:.3f}") for d in (-0.5, 0.5))
    asked = {"budget": Budget(require=(met, missed)), "out": tmp_path}
    found = compress(saved, digits, ["float16"], **asked)
    assert found.chosen is None
    assert found.misses["float16"].startswith(f"has {worst} of ")
    assert found.run.budget == {"require": [str(met), str(missed)]}
    asked["budget"] = Budget(require=(met,))
    assert compress(saved, digits, ["float16"], **asked).chosen is not None


def test_the_onnx_of_another_exporter_is_a_base(frontier, digits, tmp_path):
    import onnx

    from toolkit.predict import predictor

    given = onnx.load(frontier.base.path)
    del given.metadata_props[:]
    (tmp_path / "m.onnx").write_bytes(given.SerializeToString())
    recipes = ["float16", "distil", "int8"]
    found = compress(tmp_path / "m.onnx", digits, recipes, out=tmp_path / "out")
    assert [a.name for a in found.candidates] == ["float16", "int8"]
    assert "distil changes the Keras model" in found.misses["distil"]
    x = digits.test.x
    for made, own in zip(found.candidates, frontier.candidates, strict=True):
        assert (predictor(made.path)(x) == predictor(own.path)(x)).all()
    # asked again, everything is found by its content
    again = compress(tmp_path / "m.onnx", digits, recipes, out=tmp_path / "out")
    assert [a.sha256 for a in again.candidates] == [a.sha256 for a in found.candidates]
    # what a bundle of it holds answers as it does
    packed = bundle.write(found.run, digits.test, tmp_path / "b.zip", name="int8")
    assert bundle.verify(packed).passed


def test_refusals_come_before_any_work(saved, wine, digits, tmp_path):
    with pytest.raises(RecipeError, match="unknown recipe"):
        compress(saved, digits, ["int88"], out=tmp_path)
    with pytest.raises(RecipeError, match="taken"):
        compress(saved, digits, ["int8", "int8"], out=tmp_path)
    with pytest.raises(MatchError):
        compress(saved, wine, ["int8"], out=tmp_path)
    with pytest.raises(OutputError):
        compress(saved, digits, ["int8"], out="/proc/none")
    with pytest.raises(RecipeError, match="max_drop"):
        Budget(max_drop=-1)
    with pytest.raises(RecipeError, match="max_drop 200; points below 100"):
        Budget(max_drop=200)
    assert [p.name for p in tmp_path.iterdir()] == []


def test_a_target_sets_the_widths_and_other_cpus_are_told(saved, digits, tmp_path):
    found = compress(saved, digits, ["int8"], target="vnni", out=tmp_path)
    (made,) = found.candidates
    assert made.facts[1]["settings"]["bits"] == 8
    others = {
        cpu: found.run.measured("int8", f"accuracy target:{cpu}").value
        for cpu in ("avx2", "vnni", "arm64")
    }
    assert others["vnni"] == others["arm64"]
    assert found.run.measured("int8", "target_spread") is not None
    with pytest.raises(RecipeError, match="did you mean vnni"):
        compress(saved, digits, ["int8"], target="vnn", out=tmp_path / "no")


def test_other_cpus_are_told_of_integers_without_a_target(saved, digits, tmp_path):
    run = compress(saved, digits, ["int8", "float16"], out=tmp_path).run
    assert run.measured("int8", "target_spread").value == 0
    assert run.measured("int8", "target_agreement").value == 100
    assert run.measured("float16", "target_spread") is None


def test_names_of_mixes_are_taken(tabular, wine, tmp_path):
    """Two candidates of one name would share a file and its figures."""
    from toolkit.recipe import load

    again = dataclasses.replace(load("int8"), name="int8-mixed")
    with pytest.raises(RecipeError, match="'int8-mixed' is taken"):
        compress(tabular, wine, ["int8", again], out=tmp_path / "o")
    assert not (tmp_path / "o").exists()
