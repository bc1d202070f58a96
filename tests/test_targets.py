from functools import partial

import numpy as np
import pytest
from onnx import numpy_helper

from toolkit import recipe
from toolkit.cache import Cache
from toolkit.cli import run
from toolkit.errors import RecipeError
from toolkit.exporting import export
from toolkit.files import writable_folder
from toolkit.measurement import measure
from toolkit.models.macs import macs
from toolkit.passes import PASSES, apply
from toolkit.predict import OnnxPredictor
from toolkit.saturation import IntegerPredictor
from toolkit.targets import CPUS, TARGETS, answering, elsewhere, spread, suited, target


@pytest.fixture(scope="module")
def floats(cnn, digits):
    return export(cnn, digits.fit.validation).model


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_recipe_is_suited_pass_by_pass(name):
    wanted = target(name)
    for one in map(recipe.load, recipe.known()):
        other = suited(one, name)
        for a, b in zip(one.passes, other.passes, strict=True):
            bits = getattr(a, "bits", None)
            assert getattr(b, "bits", None) == (wanted.bits if bits in (7, 8) else bits)
            assert getattr(b, "signed", None) == (
                wanted.signed if b.name == "static_int8" else None
            )


def test_an_unknown_target_is_refused():
    with pytest.raises(RecipeError, match="did you mean avx2"):
        target("avx")


def test_generic_answers_alike_on_every_cpu(floats, digits):
    small = apply(PASSES["static_int8"](), floats, digits.fit).model
    found = {m.name: m for m in spread(small, digits.test, "s")}
    assert found["target_spread"].value == 0
    assert found["target_agreement"].value == 100
    assert {f"accuracy target:{cpu}" for cpu in CPUS} < found.keys()


@pytest.fixture(scope="module")
def clipping(floats, digits):
    """With every weight three times as large, neighbours reach beyond 16 bits together."""
    small = apply(PASSES["static_int8"](bits=8), floats, digits.fit).model
    kernels = [t for t in small.graph.initializer if t.data_type == 3 and len(t.dims) > 1]
    for tensor in kernels:
        values = numpy_helper.to_array(tensor)
        larger = np.clip(values.astype(int) * 3, -127, 127).astype(np.int8)
        tensor.CopyFrom(numpy_helper.from_array(larger, tensor.name))
    return small


def test_a_file_is_judged_and_timed_as_its_target_answers(clipping, digits, tmp_path):
    """Wherever it is asked: the clipped sums of one CPU say nothing of another."""
    test, path = digits.test, tmp_path / "s.onnx"
    path.write_bytes(clipping.SerializeToString())
    found = {m.name: m.value for m in spread(clipping, test, "s")}
    for cpu, clips in CPUS.items():
        if clips:
            continue
        ask = partial(answering, wanted=cpu)
        exact = IntegerPredictor(clipping, clipping=False)
        assert np.array_equal(ask(path, "s")(test.x), exact(test.x))
        measured, _ = measure({"s": path}, test, rounds=1, ask=ask)
        accuracy = next(m.value for m in measured if m.name == "accuracy")
        assert accuracy == found[f"accuracy target:{cpu}"] != found["accuracy target:avx2"]
    assert isinstance(answering(path, "s", "generic"), OnnxPredictor)


def test_a_net_that_clips_is_seen(clipping, digits):
    found = {m.name: m for m in spread(clipping, digits.test, "s")}
    values = [found[f"accuracy target:{cpu}"].value for cpu in CPUS]
    assert values[1] == values[2]
    assert found["target_spread"].value == pytest.approx(max(values) - min(values))
    assert found["target_agreement"].value < 100


def test_what_others_answer_is_told_unasked_of_integers_alone(clipping, floats, digits, tmp_path):
    files = {"clips": tmp_path / "c.onnx", "floats": tmp_path / "f.onnx"}
    for path, model in zip(files.values(), (clipping, floats), strict=True):
        path.write_bytes(model.SerializeToString())
    known = Cache(writable_folder(tmp_path / "kept"))
    told = elsewhere(files, digits.test, known)
    assert told == elsewhere(files, digits.test, known) == elsewhere(files, digits.test)
    assert told == spread(clipping, digits.test, "clips")


def test_a_large_net_is_asked_fewer_rows(clipping, cnn, digits, monkeypatch):
    exact = IntegerPredictor(clipping, clipping=False)
    one = exact.products(digits.test.x[:1])
    assert one == macs(cnn)  # every layer of it may clip
    assert exact.products(digits.test.x[:3]) == 3 * one
    monkeypatch.setattr("toolkit.targets._PRODUCTS", 70 * one)
    assert {m.n for m in spread(clipping, digits.test, "s")} == {70}
    monkeypatch.setattr("toolkit.targets._PRODUCTS", one)
    assert {m.n for m in spread(clipping, digits.test, "s")} == {50}


def test_measure_warns_of_a_file_that_other_cpus_answer_otherwise(
    clipping, floats, digits, tmp_path, capsys
):
    paths = [tmp_path / "f.onnx", tmp_path / "c.onnx"]
    for path, model in zip(paths, (floats, clipping), strict=True):
        path.write_bytes(model.SerializeToString())
    given = ["measure", *map(str, paths), "--data", "digits", "--rounds", "5"]
    assert run(["measure", "train"], given, "toolkit") == 0
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "without VNNI" in line]
    right = {m.name: m.value for m in spread(clipping, digits.test, "c")}
    assert f"c is right in {right['accuracy target:avx2']:.1f} % of" in said
    assert f"in {right['accuracy target:vnni']:.1f} % on others" in said
