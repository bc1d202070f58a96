"""The plan of the house as data: imports go down only, and never to the package root."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import toolkit

ROOT = Path(toolkit.__file__).parent

FLOORS = [
    {"errors", "glossary", "progress", "undisturbed"},
    {
        "augmentation", "constants", "devices", "explainers.players", "files", "means",
        "in_floats", "masked", "metrics", "jobs", "models.heads", "onnx_graph", "pareto",
        "provenance", "report.pictures", "report.strings", "replicas", "runtime", "seeding",
        "shapes", "told", "windows",
    },
    {
        "behaviour", "checkpoints", "data", "explainers.base", "explainers.hidings", "lattice",
        "models", "parquet", "report.quantities", "run", "sparsity", "squeezing",
    },
    {
        "artifact", "cache", "checks", "contract", "explainers", "faithfulness",
        "gate", "keeping", "predict", "report.charts", "report.data", "report.naming",
        "report.words", "requirement", "training",
    },
    {
        "alignment", "bases", "bridge", "choice", "conversion", "explainer_net", "explanation",
        "fidelity", "flips", "layers", "measurement", "operators", "passes.base",
        "report.templates", "report.tiles",
    },
    {"exporting", "passes", "quality", "report.sections"},
    {
        "diagnosis", "explainer_labels", "many_rows", "recipe", "report", "saturation", "studying",
    },
    {"making", "quick_explainer", "space", "targets", "traits", "verification"},
    {"bundle", "mixing", "stages", "surrogate"},
    {"exploring"},
    {"search"},
    {"demonstration"},
    {"cli"},
    {"__init__"},
]  # fmt: skip
SECTIONS = {
    "behaviour", "cards", "compression", "explanation", "faults", "index", "learnt", "origin",
    "reason_rows", "reasons", "whole",
}  # fmt: skip
PLACE = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module):
    """The room a module belongs to: its own line in the plan, or that of its folder."""
    name = module.removeprefix("toolkit").lstrip(".") or "__init__"
    if name.startswith("report.") and name.removeprefix("report.") in SECTIONS:
        return "report.sections"
    if name.startswith("report.charts."):
        return "report.charts"
    return name if name in PLACE else name.split(".")[0]


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(("toolkit", *(p for p in parts if p != "__init__")))
        yield name, path


def imported(path):
    """Every toolkit module that a file imports, anywhere in it."""
    names = {name for name, _ in modules()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "toolkit")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "toolkit":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in names else node.module


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda v: str(v)[-40:])
def test_imports_go_down(name, path):
    mine = room_of(name)
    assert mine in PLACE, f"{name} stands on no floor"
    for other in imported(path):
        assert other != "toolkit", f"{name} imports the package root"
        theirs = room_of(other)
        if theirs != mine:
            assert PLACE[theirs] < PLACE[mine], f"{name} (floor {PLACE[mine]}) imports {other}"


FRAMEWORKS = ("tensorflow", "keras", "onnxruntime", "onnx", "shap", "lime", "sklearn", "tf2onnx")


def loaded(code):
    """The frameworks that a fresh interpreter has loaded after `code`."""
    ending = f"\nimport sys\nprint([m for m in {FRAMEWORKS!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + ending], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "a pipe hears of no bar, and nothing of what the frameworks say"
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


def test_importing_the_package_loads_no_framework():
    assert loaded("import toolkit; toolkit.Run; toolkit.Recipe") == []


@pytest.mark.parametrize("command", ["compress", "explain"])
def test_help_loads_no_framework(command):
    code = f"from toolkit.cli import run\nassert run(['{command}'], ['--help'], '{command}') == 0"
    assert loaded(code) == []


def test_the_report_loads_no_framework():
    assert loaded("import toolkit.report, toolkit.checks") == []


def test_explaining_an_onnx_never_loads_tensorflow(frontier):
    code = f"""
from pathlib import Path
from toolkit.cli import run
import tempfile
out = Path(tempfile.mkdtemp()) / "why.html"
arguments = [{str(frontier.base.path)!r}, "--data", "digits", "--rows", "2", "--out", str(out)]
assert run(["explain"], arguments, "explain") == 0
assert out.stat().st_size > 10_000
"""
    assert not {"tensorflow", "keras", "tf2onnx"} & set(loaded(code))


def test_only_the_bridge_knows_the_older_keras():
    for name, path in modules():
        if room_of(name) == "bridge":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            known = {n.split(".")[0] for n in names}
            assert not known & {"tf_keras", "tensorflow_model_optimization"}, name


@pytest.mark.parametrize("command", ["compress", "measure"])
def test_an_onnx_is_compressed_and_measured_without_tensorflow(command, frontier, tmp_path):
    more = ["--out", str(tmp_path / "small")] if command == "compress" else ["--rounds", "5"]
    arguments = [str(frontier.base.path), "--data", "digits", *more]
    code = f"from toolkit.cli import run\nassert run([{command!r}], {arguments!r}, 'toolkit') == 0"
    assert not {"tensorflow", "keras", "tf2onnx"} & set(loaded(code))
    if command == "compress":
        made = {p.stem for p in (tmp_path / "small").glob("*.onnx")}
        assert made == {"base", "float16", "int8", "int8-dynamic"}


def test_only_a_notebook_looks_up():
    """A Run shows itself in a notebook: the one look past the floors, and it is not an import."""
    looking = [name for name, path in modules() if 'import_module("toolkit' in path.read_text()]
    assert looking == ["toolkit.run"]
