"""run.py of a bundle: asked on a bare Python, given rows as they are written, and returned."""

import dataclasses
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from toolkit import bundle, provenance, report
from toolkit.bundle import device
from toolkit.bundle.tolerance import LEAST
from toolkit.bundle.writing import SAMPLES
from toolkit.errors import DataError, MatchError
from toolkit.predict import predictor


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """A fresh environment with numpy and onnxruntime alone, of the versions used here."""
    import onnxruntime

    home = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    wanted = [f"numpy=={np.__version__}", f"onnxruntime=={onnxruntime.__version__}"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-compile"]
    done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"pip cannot install numpy and onnxruntime here: {done.stderr[-200:]}")
    return python


def asked(python, folder, *arguments, ok=0):
    command = [python, "-I", "-W", "error", folder / "run.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == ok, done.stderr
    return done.stdout if ok == 0 else done.stderr


def test_it_runs_on_numpy_and_onnxruntime_alone(bare, folder, frontier, digits):
    code = "from importlib.util import find_spec as f; print(f('onnx'), f('keras'))"
    there = subprocess.run([bare, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.split() == ["None", "None"]
    told = asked(bare, folder, "--verify")
    assert f"{SAMPLES} samples: {SAMPLES} the same to the bit" in told
    np.save(folder / "rows.npy", digits.test.x[:40, :, :, 0])
    said = json.loads(asked(bare, folder, "rows.npy", "--json"))
    wanted = predictor(frontier.candidates[1].path)(digits.test.x[:40])
    assert np.abs(np.float32(said["probabilities"]) - wanted).max() <= LEAST
    lines = asked(bare, folder, "rows.npy").splitlines()
    assert [line.split("\t")[1] for line in lines] == [str(k) for k in wanted.argmax(axis=1)]
    np.savez(folder / "rows.npz", x=digits.test.x[:3])
    assert asked(bare, folder, "rows.npz").splitlines() == lines[:3]


def test_it_tells_nobody_and_leaves_nothing_at_home(folder, tmp_path_factory):
    """onnxruntime does, but where a variable says that a CI runs: so none is given."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, folder / "run.py", "--verify"]
    subprocess.run(command, check=True, env={"PATH": os.environ["PATH"], "HOME": str(home)})
    assert list(home.rglob("*")) == []


def test_what_a_device_measures_comes_back_into_the_run(bare, folder, run, tmp_path):
    asked(bare, folder, "--measure", "--out", "pi.json")
    found = bundle.returned(run, folder / "pi.json")
    here, there = (found.measured("int8", f"latency_p50{d}") for d in ("", " device:pi"))
    assert there.unit == here.unit == "us"
    # its own median lies within its own interval, from as many calls as it says
    assert there.low <= there.value <= there.high
    assert found.measured("int8", "replay_difference device:pi").value == 0
    assert found.machine["devices"]["pi"]["processor"] == provenance.machine()["processor"]
    page = report.render(found, "compression")
    assert "On devices" in page
    assert ">pi<" in page
    # a second report of that name takes the place of the first
    again = bundle.returned(found, folder / "pi.json")
    assert len(again.measurements) == len(found.measurements)


def test_bad_rows_are_one_line(folder, capsys):
    np.save(folder / "wrong.npy", np.zeros((2, 5)))
    np.save(folder / "nan.npy", np.full((2, 8, 8), np.nan))
    np.save(folder / "texts.npy", np.array(["a", "b"]))
    (folder / "junk.npy").write_bytes(b"hello")
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    for name in ("wrong.npy", "nan.npy", "texts.npy", "junk.npy", "rows.csv", "none.npy", "x.jpg"):
        assert device.main([str(folder / name)], folder) == 2, name
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.strip().splitlines()) == 1, name


def test_the_script_says_what_was_changed(folder, capsys):
    (folder / "labels.json").write_text("[]")
    assert device.main(["--verify"], folder) == 1
    assert "labels.json was changed" in capsys.readouterr().out


@pytest.mark.parametrize("scaled", [False, True])
def test_a_table_with_categories_and_gaps_is_read_as_in_training(scaled, tmp_path, capsys):
    """What run.py makes of a .csv is what data.load makes of it."""
    from toolkit import data, models, training
    from toolkit.search import compress

    rng = np.random.default_rng(0)
    lines = ["age,colour,size,label"]
    for i in range(400):
        age = "" if i % 17 == 0 else f"{rng.uniform(1, 90):.2f}"
        # what is scaled are numbers
        colour = i % 3 if scaled else ("red", "dark blue", "?")[i % 3]
        lines.append(f"{age},{colour},{rng.integers(9)},{'ab'[i % 2]}")
    source = tmp_path / "t.csv"
    source.write_text("\n".join(lines))
    splits = data.load(source, **({"scale": 0.5, "offset": 1.0} if scaled else {}))
    net, _ = training.train(
        models.build("tabular", splits.fit.train), splits.fit, training.Settings(epochs=1)
    )
    out = tmp_path / "small"
    found = compress(net, splits, ["float16"], out=out)
    made = bundle.write(found.run, splits.test, tmp_path / "b.zip", name="float16")
    there = tmp_path / "there"
    with zipfile.ZipFile(made) as inside:
        inside.extractall(there)
    every = np.concatenate(
        [
            p.x
            for p in (splits.fit.train, splits.fit.validation, splits.fit.calibration, splits.test)
        ]
    )
    read = device.Model(there).read(source)
    assert sorted(map(tuple, read.tolist())) == sorted(map(tuple, every.tolist()))
    (tmp_path / "odd.csv").write_text("size,colour,age\n1,green,2\n")
    assert device.main([str(tmp_path / "odd.csv")], there) == 2
    said = capsys.readouterr().err
    assert "'green'" in said
    assert "column 'colour', row 1" in said
    (tmp_path / "odd.csv").write_bytes(b"\xff\xfe\x00")
    assert device.main([str(tmp_path / "odd.csv")], there) == 2
    assert "odd.csv is no text that can be read" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_run_reads_tables_as_they_are_written(encoding, tmp_path):
    columns = [
        {"name": "größe"},
        {"name": "flag"},
        {"name": "known", "categories": ["False", "True"]},
    ]
    path = tmp_path / "t.csv"
    path.write_text("größe;flag;known\n1,5;True;true\n2;FALSE;False\n", encoding=encoding)
    assert device._table(path, columns).tolist() == [[1.5, 1, 1], [2, 0, 0]]
    path.write_text("größe,flag,known\n1.5,true,True\n1e3,False,FALSE\n", encoding=encoding)
    assert device._table(path, columns).tolist() == [[1.5, 1, 1], [1000, 0, 0]]


def graph_of(width, units, last, path, *, places=1.0):
    """Some rows of `width` numbers -> `units` outputs, as another exporter may write it."""
    from onnx import TensorProto, helper, numpy_helper

    values = np.random.default_rng(0).normal(size=(width, units)).astype(np.float32) / places
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"])]
    nodes += [helper.make_node(last, ["z"], ["p"])] if last else []
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", n])
        for name, n in (("x", width), (nodes[-1].output[0], units))
    ]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(values, "w")]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


def there(source, splits, folder):
    """The float16 file of a model, its bundle unpacked, and the file itself."""
    from toolkit.search import compress

    run = compress(source, splits, ["float16"], out=folder / "small").run
    made = bundle.write(run, splits.test, folder / "b.zip", name="float16")
    assert bundle.verify(made).passed
    with zipfile.ZipFile(made) as inside:
        inside.extractall(folder / "there")
    return folder / "there", run.artifacts[1].path


@pytest.mark.parametrize(("units", "last"), [(2, ""), (2, "Softmax"), (1, "Sigmoid")])
def test_logits_and_one_sigmoid_are_probabilities_there(units, last, tmp_path):
    from toolkit import data

    splits = data.load("breast_cancer")
    source = graph_of(30, units, last, tmp_path / "m.onnx", places=300)
    folder, small = there(source, splits, tmp_path)
    x = splits.test.x
    model = device.Model(folder)
    assert np.abs(model(model.ready(x)) - predictor(small)(x)).max() <= LEAST


def test_texts_are_asked_as_texts(tmp_path, capsys):
    from toolkit import data

    for name in ("good", "bad"):
        lines = [f"a {name} film number {i % 7} of {name} things" for i in range(120)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    splits = data.load(f"{tmp_path / 'good.txt'},{tmp_path / 'bad.txt'}")
    source = graph_of(splits.test.x.shape[1], 2, "Softmax", tmp_path / "m.onnx", places=9)
    folder, small = there(source, splits, tmp_path)
    (tmp_path / "new.txt").write_text("\n".join(splits.test.texts))
    model = device.Model(folder)
    assert (model.read(tmp_path / "new.txt") == splits.test.x).all()
    assert device.main([str(tmp_path / "new.txt"), "--json"], folder) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["labels"] == ["good", "bad"]
    wanted = predictor(small)(splits.test.x)
    assert np.abs(np.float32(told["probabilities"]) - wanted).max() <= LEAST


@pytest.mark.parametrize("settings", [
    {}, {"padding": "pre", "cut": "pre"}, {"unknown": None}, {"characters": True, "lower": False},
    {"strip": False},
])  # fmt: skip
def test_texts_become_the_indices_of_training(settings):
    from toolkit.data import words
    from toolkit.glossary import Words

    known = Words(("", "[UNK]", "good", "film", "Film", "g", "'"), 4, **settings)
    texts = ["A good, GOOD film!", "", "isn't a Film film film film good", "g"]
    wanted = words.encoded(texts, known)
    assert (device.encoded(texts, dataclasses.asdict(known)) == wanted).all()


def test_rows_and_a_report_at_once_are_refused_in_a_line(folder, tmp_path, capsys):
    with pytest.raises(SystemExit):
        device.main(["m.json", "--measure"], folder)
    assert "give one of them: what --measure writes is named by --out" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        device.main([], folder)
    assert "give a file of rows, or --verify, or --measure" in capsys.readouterr().err
    for asked_for in (["rows.csv"], ["--verify"]):
        with pytest.raises(SystemExit):
            device.main([*asked_for, "--out", "x.json"], folder)
        assert "--out x.json names what --measure writes" in capsys.readouterr().err


def test_a_report_about_another_model_or_none_is_refused(run, folder, tmp_path):
    device.main(["--measure", "--out", str(tmp_path / "d.json")], folder)
    told = json.loads((tmp_path / "d.json").read_text())
    strange = tmp_path / "strange.json"
    strange.write_text(json.dumps({**told, "model": "0" * 64}))
    with pytest.raises(MatchError, match="000000000000"):
        bundle.returned(run, strange)
    for wrong in ({"replay": {}}, {"kind": "x"}, {"measurements": [{"name": "load"}]}):
        strange.write_text(json.dumps({**told, **wrong}))
        with pytest.raises(DataError, match="no report of a device"):
            bundle.returned(run, strange)
    strange.write_text("[" * 100_000)
    with pytest.raises(DataError, match="no report of a device"):
        bundle.returned(run, strange)
    # a device that answers otherwise is an error on the page
    bad = {**told["replay"], "passed": False, "beyond_rounding": 9}
    strange.write_text(json.dumps({**told, "replay": bad}))
    found = bundle.returned(run, strange, "pi")
    assert [f.code for f in found.findings if f.severity == "error"] == ["V1"]
    # and is one no more when a better report comes
    better = bundle.returned(found, tmp_path / "d.json", "pi")
    assert [f for f in better.findings if f.code == "V1"] == []


def test_features_of_the_machine_are_those_of_the_toolkit(folder):
    assert device.machine() == provenance.machine()


EMULATED = os.environ.get("TOOLKIT_ARM64", "")


@pytest.mark.skipif(
    not EMULATED,
    reason="TOOLKIT_ARM64 names no Python of arm64 with numpy and onnxruntime (docs/deploying.md)",
)
@pytest.mark.parametrize("name", ["base", "float16", "int8"])
def test_arm64_answers_within_the_tolerance(name, run, digits, tmp_path):
    made = bundle.write(run, digits.test, tmp_path / "b.zip", name=name)
    with zipfile.ZipFile(made) as inside:
        inside.extractall(tmp_path)
    command = [*EMULATED.split(), str(tmp_path / "run.py"), "--verify", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert told["machine"]["system"].endswith("aarch64")
    assert told["replay"]["passed"]
    assert told["replay"]["same_class"] == SAMPLES


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ('id, age, job\n2, 42, "x, 7"\n', "t.csv", None),
        ('age, name, income\n42, "Doe, 7, Jr", 4200\n', "t.csv", [[42, 4200]]),
        ("age\tincome\n950\t1,250\n1,000\t999\n", "t.tsv", [[950, 1250], [1000, 999]]),
        ("age;income\n0,008;1,250\n", "t.csv", [[0.008, 1.25]]),
        ("Alter, Jahre;age;income;x, y\n1,5;2,5;3,5;0,5\n", "t.csv", [[2.5, 3.5]]),
        ("age,income\n1,2\n  \n3,4\n", "t.csv", [[1, 2], [3, 4]]),
    ],
)
def test_run_takes_values_from_their_own_columns(text, name, values, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    columns = [{"name": "age"}, {"name": "income"}]
    if values is None:
        with pytest.raises(device.RefusedError):
            device._table(path, columns)
    else:
        assert np.allclose(device._table(path, columns), values)
