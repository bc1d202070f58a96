"""The bundle of a compressed model: made, sent, attacked, and told from others."""

import dataclasses
import hashlib
import io
import json
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from toolkit import bundle
from toolkit.bundle import archive
from toolkit.bundle.tolerance import LEAST, tolerance
from toolkit.bundle.writing import SAMPLES, contents
from toolkit.errors import DataError, ModelError, OutputError, RecipeError
from toolkit.exporting import export
from toolkit.glossary import Data, Fit
from toolkit.passes import PASSES
from toolkit.predict import predictor

NAMES = {
    "manifest.json", "model.onnx", "labels.json", "preprocessing.json", "samples.npz", "run.py",
    "MODEL_CARD.md",
}  # fmt: skip


def rewritten(path, changes, out):
    """The bundle with some members replaced, removed (None) or added, hashes as they were."""
    files = {**archive.unzipped(path), **changes}
    out.write_bytes(archive.zipped({n: c for n, c in files.items() if c is not None}))
    return out


def rehashed(path, changes, out):
    """The same by somebody who also writes the hashes anew."""
    files = {**archive.unzipped(path), **changes}
    told = json.loads(files["manifest.json"])
    for name in told["files"]:
        told["files"][name]["sha256"] = hashlib.sha256(files[name]).hexdigest()
    files["manifest.json"] = json.dumps(told).encode()
    out.write_bytes(archive.zipped(files))
    return out


def test_it_holds_what_a_device_needs(packed, run, frontier, digits):
    files = archive.unzipped(packed)
    assert set(files) == NAMES
    small = frontier.candidates[1]
    assert files["model.onnx"] == small.path.read_bytes()
    told = json.loads(files["manifest.json"])
    assert told["recipe"] == small.recipe
    assert [f["pass"] for f in told["facts"]] == [f["pass"] for f in small.facts]
    assert {m["subject"] for m in told["measurements"]} == {"base", "int8"}
    assert json.loads(files["labels.json"]) == list(digits.test.classes)
    arrays = np.load(io.BytesIO(files["samples.npz"]), allow_pickle=False)
    assert len(arrays["x"]) == SAMPLES
    assert (arrays["label"] == digits.test.y[arrays["row"]]).all()
    # every class is among them
    assert set(arrays["label"].tolist()) == set(range(10))


def test_the_same_run_gives_the_same_bytes(packed, run, digits, tmp_path):
    again = bundle.write(run, digits.test, tmp_path / "again.zip", name="int8")
    assert again.read_bytes() == packed.read_bytes()


def test_the_card_tells_what_was_measured_and_what_was_not(packed, run):
    text = archive.unzipped(packed)["MODEL_CARD.md"].decode()
    right = run.measured("int8", "accuracy")
    assert f"| {right.value:.1f} |" in text
    assert "Nobody has said so here" in text
    assert "What is not known" in text
    assert run.hashes["data"] in text


def test_the_card_tells_the_worst_class_first_and_slices(run, digits):
    from toolkit.glossary import Measurement

    slices = [Measurement("int8", f"accuracy slice:sex={s}", v, "%", 9, 1, 99) for s, v in
              (("f", 90), ("m", 60))]  # fmt: skip
    told = dataclasses.replace(run, measurements=(*run.measurements, *slices))
    lines = contents(told, digits.test, name="int8")["MODEL_CARD.md"].decode().splitlines()
    of_class = lines.index("| class | right in base, % | right, % | 95 % | n |") + 2
    shown = [float(line.split("|")[3]) for line in lines[of_class : of_class + 10]]
    assert shown == sorted(shown)
    assert len(shown) == len(digits.test.classes)
    of_slice = lines.index("| slice | right in base, % | right, % | 95 % | n |") + 2
    assert [line.split("|")[1].strip() for line in lines[of_slice : of_slice + 2]] == [
        "sex=m",
        "sex=f",
    ]


def test_a_card_shows_hostile_names_and_does_nothing(run, digits):
    evil = "<script>a</script>|[x](javascript:1)\n# head"
    hostile = dataclasses.replace(run, data={**run.data, "name": evil})
    text = contents(hostile, digits.test, name="int8")["MODEL_CARD.md"].decode()
    assert "<script>" not in text.replace("\\<", "")
    assert "[x](" not in text.replace("\\[", "")
    assert "\n# head" not in text


def test_verifying_here_finds_the_same_bits(packed):
    found = bundle.verify(packed)
    assert found.passed
    assert found.ours
    assert found.replay["same_bits"] == found.replay["rows"] == SAMPLES


@pytest.mark.parametrize("name", ["model.onnx", "samples.npz", "MODEL_CARD.md", "run.py"])
def test_a_changed_file_is_named_and_nothing_is_loaded(name, packed, tmp_path):
    files = archive.unzipped(packed)
    found = bundle.verify(rewritten(packed, {name: files[name] + b" "}, tmp_path / "c.zip"))
    assert not found.passed
    assert found.altered == {name: "was changed"}
    assert found.replay is None


def test_a_missing_and_an_added_file_are_named(packed, tmp_path):
    changes = {"labels.json": None, "more.txt": b"x"}
    found = bundle.verify(rewritten(packed, changes, tmp_path / "c.zip"))
    assert found.altered == {"labels.json": "is missing", "more.txt": "is not in the manifest"}


def test_another_model_with_its_hashes_written_anew_answers_otherwise(packed, frontier, tmp_path):
    import onnx
    from onnx import numpy_helper

    model = onnx.load(frontier.candidates[1].path)
    held = max(
        (t for t in model.graph.initializer if t.data_type in (2, 3)),
        key=lambda t: int(np.prod(t.dims)),
    )
    values = numpy_helper.to_array(held).copy()
    # one step up in one weight of a hundred, as a device that rounds wrongly would have it
    values.reshape(-1)[::100] += 1
    held.CopyFrom(numpy_helper.from_array(values, held.name))
    changed = {"model.onnx": model.SerializeToString()}
    found = bundle.verify(rehashed(packed, changed, tmp_path / "c.zip"))
    assert found.altered == {}
    assert not found.passed


def test_a_few_rows_may_fall_to_the_other_side_and_no_more(packed, tmp_path):
    files = archive.unzipped(packed)
    allowed = json.loads(files["manifest.json"])["samples"]
    arrays = dict(np.load(io.BytesIO(files["samples.npz"])))
    assert 0 < allowed["falls"] < SAMPLES
    assert allowed["rounding"] < allowed["step"]
    far = (allowed["rounding"] + allowed["step"]) / 2
    for rows, passes in ((allowed["falls"], True), (allowed["falls"] + 1, False)):
        moved = arrays["probabilities"].copy()
        moved[:rows, 0] += np.float32(far)
        out = io.BytesIO()
        np.savez(out, **{**arrays, "probabilities": moved})
        changed = rehashed(packed, {"samples.npz": out.getvalue()}, tmp_path / f"{rows}.zip")
        found = bundle.verify(changed)
        assert found.replay["beyond_rounding"] == rows
        assert found.passed is passes


def test_a_strange_script_is_said_and_not_run(packed, tmp_path):
    evil = {"run.py": b"raise SystemExit('ran')"}
    found = bundle.verify(rehashed(packed, evil, tmp_path / "c.zip"))
    assert found.passed
    assert not found.ours


def zip_of(path, *members, **settings):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in settings.items():
                setattr(info, key, value)
            out.writestr(info, content)
    return path


def test_traps_are_refused_before_anything_is_unpacked(tmp_path, monkeypatch):
    link = (stat.S_IFLNK | 0o777) << 16
    many = [(f"f{i}", b"") for i in range(archive.MOST_MEMBERS + 1)]
    traps = {
        "'../evil'": zip_of(tmp_path / "a.zip", ("../evil", b"x")),
        "'/etc/evil'": zip_of(tmp_path / "b.zip", ("/etc/evil", b"x")),
        r"'\.\.\\\\evil'": zip_of(tmp_path / "c.zip", ("..\\evil", b"x")),
        "'C:evil'": zip_of(tmp_path / "d.zip", ("C:evil", b"x")),
        "no plain file": zip_of(tmp_path / "e.zip", ("model.onnx", b"/etc"), external_attr=link),
        "a name twice": zip_of(tmp_path / "f.zip", ("run.py", b"x"), ("RUN.py", b"y")),
        "65 members": zip_of(tmp_path / "g.zip", *many),
    }
    monkeypatch.setattr(archive, "MOST_BYTES", 10**6)
    bomb = zip_of(tmp_path / "h.zip", ("manifest.json", bytes(10**6 + 1)))
    assert bomb.stat().st_size < 10_000
    traps["unpacks to 1,000,001 bytes"] = bomb
    for says, path in traps.items():
        with pytest.raises(DataError, match=says) as caught:
            bundle.verify(path)
        assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path.parent / "evil").exists()


def test_a_member_longer_than_it_claims_is_refused(packed, tmp_path):
    raw = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as inside:
        size = inside.getinfo("model.onnx").file_size
    # the directory and the header of the member both claim fewer bytes
    claim, less = size.to_bytes(4, "little"), (size - 9).to_bytes(4, "little")
    assert raw.count(claim) >= 2
    (tmp_path / "c.zip").write_bytes(bytes(raw).replace(claim, less))
    with pytest.raises(DataError, match="not a whole zip"):
        bundle.verify(tmp_path / "c.zip")


def test_samples_that_claim_more_than_there_is_take_no_memory(packed, tmp_path):
    head = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (2**40,)}
    np.lib.format.write_array_header_1_0(head, shape)
    lying = {"samples.npz": archive.zipped({"x.npy": head.getvalue() + bytes(64)})}
    with pytest.raises(DataError, match="claims"):
        bundle.verify(rehashed(packed, lying, tmp_path / "c.zip"))


def test_pickled_samples_are_refused(packed, tmp_path):
    out = io.BytesIO()
    np.savez(out, x=np.array([print], object), probabilities=np.zeros(1))
    pickled = {"samples.npz": out.getvalue()}
    with pytest.raises(DataError, match=r"samples\.npz"):
        bundle.verify(rehashed(packed, pickled, tmp_path / "c.zip"))


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\x03\x04 cut off", None], ids=["empty", "text", "cut", "none"]
)
def test_what_is_no_bundle(content, tmp_path):
    path = tmp_path / "x.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError):
        bundle.verify(path)


def test_a_zip_of_other_things_is_no_bundle(tmp_path):
    with pytest.raises(DataError, match="not a bundle"):
        bundle.verify(zip_of(tmp_path / "a.zip", ("notes.txt", b"x")))


STRANGE = [None, [], {}, 0, -1, "x", "../x", 1e999, [[]], {"x": {}}]


@pytest.mark.parametrize("place", [
    "manifest.json", "labels.json", "preprocessing.json", "files", "samples", "head", "shape",
    "rounding", "falls", "sha256",
])  # fmt: skip
def test_json_of_another_form_is_refused_or_changes_nothing(place, packed, tmp_path):
    """Strange values in every place that is read: one line, or a verdict; never a fault of ours."""
    files = archive.unzipped(packed)
    told = {name: json.loads(files[name]) for name in files if name.endswith(".json")}
    for i, value in enumerate(STRANGE):
        changed = json.loads(json.dumps(told))
        spot = changed["manifest.json"]
        if place.endswith(".json"):
            changed[place] = value
        elif place in ("files", "samples"):
            spot[place] = value
        elif place in ("rounding", "falls"):
            spot["samples"][place] = value
        elif place == "sha256":
            spot["files"]["model.onnx"] = value
        else:
            changed["preprocessing.json"][place] = value
        if isinstance(changed["manifest.json"], dict) and place not in ("files", "sha256"):
            for name in ("labels.json", "preprocessing.json"):
                content = json.dumps(changed[name]).encode()
                spot["files"][name]["sha256"] = hashlib.sha256(content).hexdigest()
        text = {name: json.dumps(content).encode() for name, content in changed.items()}
        path = rewritten(packed, text, tmp_path / f"{i}.zip")
        try:
            found = bundle.verify(path)
        except DataError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017
        else:
            assert found.passed in (True, False)


def test_json_without_end_is_refused(packed, tmp_path):
    deep = {"manifest.json": b"[" * 100_000}
    with pytest.raises(DataError, match="not a bundle"):
        bundle.verify(rewritten(packed, deep, tmp_path / "c.zip"))


def test_samples_of_another_shape_are_refused(packed, tmp_path):
    out = io.BytesIO()
    np.savez(out, x=np.zeros((3, 5), np.float32), probabilities=np.zeros((3, 10), np.float32))
    with pytest.raises(DataError, match="does not run on these rows"):
        bundle.verify(rehashed(packed, {"samples.npz": out.getvalue()}, tmp_path / "c.zip"))


def test_refusals_leave_nothing(run, digits, tmp_path):
    with pytest.raises(RecipeError, match="did you mean int8"):
        bundle.write(run, digits.test, tmp_path / "b.zip", name="int88")
    with pytest.raises(OutputError, match=r"\.zip"):
        bundle.write(run, digits.test, tmp_path / "b.tar", name="int8")
    changed = [dataclasses.replace(a, sha256="0" * 64) for a in run.artifacts]
    other = dataclasses.replace(run, artifacts=tuple(changed))
    with pytest.raises(ModelError, match="not the file that was measured"):
        bundle.write(other, digits.test, tmp_path / "b.zip", name="int8")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_no_half_bundle(run, digits, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import resource, signal, sys; from pathlib import Path\n"
            "from toolkit.files import write_bytes\n"
            "from toolkit.errors import OutputError\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (999, 999))\n"
            "try: write_bytes(Path(sys.argv[1]), bytes(5000))\n"
            "except OutputError: sys.exit(3)",
            tmp_path / "b.zip",
        ],
        check=False,
    )
    assert done.returncode == 3
    assert list(tmp_path.iterdir()) == []


def test_few_values_travel_even_of_large_rows(run, digits, frontier):
    wide = dataclasses.replace(digits.test, x=np.zeros((450, 400, 400, 1), np.float32))
    from toolkit.bundle.writing import samples

    rows = samples(wide, predictor(frontier.base.path), 0)
    assert len(rows) == 2**18 // 160_000


def test_rounding_is_what_other_orders_of_adding_do(frontier, digits):
    """An independent computation: the same float file without any fusion and in another batch."""
    import onnxruntime

    model, x = frontier.base.path.read_bytes(), digits.test.x[:32]
    found = tolerance(model, x)
    assert found.falls == 0
    assert LEAST <= found.rounding < 1e-3
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    other = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    at_once = other.run(None, {other.get_inputs()[0].name: x})[0]
    ask = predictor(frontier.base.path)
    one_by_one = np.concatenate([ask(x[i : i + 1]) for i in range(len(x))])
    assert np.abs(at_once - one_by_one).max() <= found.rounding


def test_what_shapes_a_tensor_is_not_moved():
    """A Resize reads how far it enlarges as floats: moved, the next layer had other columns."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.UpSampling2D(2, interpolation="nearest"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    x = np.random.default_rng(0).uniform(0, 1, (40, 8, 8, 1)).astype(np.float32)
    rows = Data(x, np.arange(40) % 3, ("a", "b", "c"))
    fit = Fit(rows, rows, rows)
    small = PASSES["static_int8"]()(export(net, rows).model, fit).model
    assert any(n.op_type == "Resize" for n in small.graph.node)
    found = tolerance(small.SerializeToString(), x[:16])
    assert LEAST <= found.rounding <= found.step < 1


# the script of the bundle, on a Python that has nothing but numpy and onnxruntime
