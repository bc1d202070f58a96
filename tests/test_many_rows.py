"""Any number of rows: the same bytes whoever works, and nothing done twice or lost."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from toolkit import many_rows, parquet
from toolkit.cli import run
from toolkit.data.sources import of_file, of_rows, of_splits
from toolkit.errors import DataError, MatchError, OutputError, RecipeError
from toolkit.explainers import EXPLAINERS
from toolkit.explainers.choices import Choice
from toolkit.explanation import explain
from toolkit.exporting import export
from toolkit.jobs import working
from toolkit.many_rows import explain_rows
from toolkit.predict import OnnxPredictor
from toolkit.progress import listening

FEW = EXPLAINERS["shapley"](evaluations=6600)


@pytest.fixture(scope="module")
def model(tabular, wine):
    return export(tabular, wine.fit.validation).model.SerializeToString()


@pytest.fixture
def go(model, wine, monkeypatch):
    """Explain the 45 test rows in parts of 10, or as given."""
    monkeypatch.setattr(many_rows, "PART", 10)

    def run_it(out, *, x=wine.test.x, of=model, **settings):
        settings = {"explainer": FEW, "background": wine.fit.train, **settings}
        return explain_rows(of, [of_rows("test", x)], out, **settings)

    return run_it


@pytest.fixture
def alone(go, tmp_path):
    """What one process makes of them."""
    go(tmp_path / "alone")
    return content(tmp_path / "alone")


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_lines_are_those_of_explain(go, model, wine, tmp_path):
    told = go(tmp_path / "why.parquet", name="net")
    assert [p.name for p in tmp_path.iterdir()] == ["why.parquet"]
    predict = OnnxPredictor(model, "net", 1)
    wanted = explain([predict], FEW, wine.test, range(45), background=wine.fit.train)
    lines = pd.concat([a.to_frame() for a in wanted], ignore_index=True)
    found = pd.read_parquet(told.path)
    for name in ("row", "model", "method", "target", "player", "shown", "value", "stderr"):
        assert found[name].tolist() == lines[name].tolist(), name
    assert set(found["part"]) == {"test"}
    assert (found["class"] == [wine.test.classes[t] for t in found["target"]]).all()
    sums = found.groupby("row")["value"].sum() + found.groupby("row")["base"].first()
    assert np.allclose(sums, found.groupby("row")["prediction"].first())
    assert (told.rows, told.found) == (45, 0)
    assert told.unsure == sum(not a.converged for a in wanted)
    means = lines["value"].abs().groupby(lines["player"]).sum() / 45
    assert dict(told.foremost) == pytest.approx(means.nlargest(10).to_dict())


def test_the_same_bytes_in_processes_and_in_other_company(go, alone, tmp_path, monkeypatch):
    with working(jobs=2):
        go(tmp_path / "two")
    monkeypatch.setattr(many_rows, "_TOGETHER", 3)
    go(tmp_path / "three")
    assert content(tmp_path / "two") == content(tmp_path / "three") == alone


def test_a_worker_of_a_cluster_dies_and_nothing_is_lost(go, alone, tmp_path):
    from distributed import Client, LocalCluster

    killed = []
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        cluster.wait_for_workers(2)
        pids = list(client.run(os.getpid).values())

        def after_the_first_part(task, done, total):
            if done and not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

        with (
            listening(after_the_first_part),
            working(backend="dask", scheduler=cluster.scheduler_address),
        ):
            go(tmp_path / "cluster")
    assert killed
    assert content(tmp_path / "cluster") == alone


KILLED = """
import os, pickle, signal, sys
from toolkit import many_rows
from toolkit.data.sources import of_rows
from toolkit.progress import listening
many_rows.PART = 10
def die(task, done, total):
    if done == 20:
        os.kill(os.getpid(), signal.SIGKILL)
with open(sys.argv[1], "rb") as stream:
    model, x, out, settings = pickle.load(stream)
with listening(die):
    many_rows.explain_rows(model, [of_rows("test", x)], out, **settings)
"""


def test_a_killed_run_goes_on(go, alone, model, wine, tmp_path):
    import pickle

    out = tmp_path / "killed"
    settings = {"explainer": FEW, "background": wine.fit.train}
    (tmp_path / "job").write_bytes(pickle.dumps((model, wine.test.x, out, settings)))
    died = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "job"], check=False)
    assert died.returncode == -signal.SIGKILL
    there = {path: path.stat() for path in out.glob("part-*")}
    assert len(there) == 2
    seen = []
    with listening(lambda task, done, total: seen.append(done)):
        told = go(out)
    assert told.found == seen[0] == 20
    assert all(path.stat().st_mtime_ns == before.st_mtime_ns for path, before in there.items())
    assert content(out) == alone


def test_what_is_damaged_is_done_again(go, alone, tmp_path):
    out = tmp_path / "alone"
    (out / "part-000001.parquet").write_bytes(alone["part-000001.parquet"][:-9])
    (out / "part-000003.parquet").write_bytes(alone["part-000002.parquet"])
    assert go(out).found == 25
    assert content(out) == alone


def test_a_bit_that_turned_on_the_disk_is_found(go, alone, tmp_path):
    """Anywhere in the pages of a part; or it changes nothing that is read."""
    part, rng = tmp_path / "alone" / "part-000002.parquet", np.random.default_rng(0)
    whole = alone[part.name]
    footer = int.from_bytes(whole[-8:-4], "little") + 8
    wanted, again = parquet.arrow().parquet.read_table(part), 0
    for place in rng.integers(4, len(whole) - footer, 20).tolist():
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        again += go(tmp_path / "alone").found == 35
        assert parquet.arrow().parquet.read_table(part).equals(wanted), place
        part.write_bytes(whole)
    assert again >= 10


@pytest.mark.parametrize("change", ["longer", "shorter", "other"])
def test_a_file_that_changes_while_it_is_read_is_told(change, model, wine, tmp_path, monkeypatch):
    """Nothing is written of rows that were not there when work began."""
    monkeypatch.setattr(many_rows, "PART", 10)
    lines = [",".join(f"{v!r}" for v in row) for row in wine.test.x.astype(float).tolist()]
    head, log = ",".join(wine.test.features), tmp_path / "log.csv"
    log.write_text("\n".join([head, *lines]) + "\n")
    source = of_file(log, wine.fit.train)
    assert source.rows == 45
    changed = {"longer": [*lines, lines[0]], "shorter": lines[:-1], "other": lines[::-1]}[change]
    log.write_text("\n".join([head, *changed]) + "\n")
    with pytest.raises(DataError, match=r"log.csv changed while its rows were explained"):
        explain_rows(model, [source], tmp_path / "out", background=wine.fit.train, explainer=FEW)
    if change == "other":
        assert not list((tmp_path / "out").glob("part-*"))


def test_a_folder_of_that_name_is_refused_before_work(go, tmp_path):
    (tmp_path / "why.parquet").mkdir()
    with pytest.raises(OutputError, match=r"why.parquet is a folder"):
        go(tmp_path / "why.parquet")
    assert not list((tmp_path / "why.parquet").iterdir())
    assert not (tmp_path / "why.parquet.parts").exists()


@pytest.mark.parametrize("other", ["seed", "rows", "settings", "background", "model", "part"])
def test_parts_of_something_else_are_never_taken(  # noqa: PLR0917
    other, go, alone, model, wine, tmp_path, monkeypatch
):
    changed = wine.test.x.copy()
    changed[44, 3] += 1
    settings = {
        "seed": {"seed": 1},
        "rows": {"x": changed},
        "settings": {"explainer": EXPLAINERS["shapley"](evaluations=6700)},
        "background": {"background": wine.fit.train.rows(slice(100))},
        "model": {"of": OnnxPredictor(model, "m").shuffled(0)._model.SerializeToString()},
        "part": {},
    }[other]
    if other == "part":
        monkeypatch.setattr(many_rows, "PART", 11)
    with pytest.raises(OutputError, match="another model, other rows"):
        go(tmp_path / "alone", **settings)
    assert content(tmp_path / "alone") == alone


def test_files_of_one_name_are_told_apart(model, wine, tmp_path):
    """logs/monday/a.csv and logs/tuesday/a.csv are both a.csv."""
    sources = [of_rows("a.csv", wine.test.x[i : i + 3]) for i in (0, 3)]
    settings = {"explainer": FEW, "background": wine.fit.train}
    explain_rows(model, sources, tmp_path, **settings)
    changed = [of_rows("a.csv", wine.test.x[[0, 7, 8]]), sources[1]]
    with pytest.raises(OutputError, match="another model, other rows"):
        explain_rows(model, changed, tmp_path, **settings)


def test_a_place_with_other_files_is_refused(go, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds other files"):
        go(tmp_path)
    go(tmp_path / "why.parquet")
    assert go(tmp_path / "why.parquet").found == 45
    with pytest.raises(OutputError, match="another model"):
        go(tmp_path / "why.parquet", seed=1)


@pytest.mark.parametrize("out", ["folder", "empty", "why.parquet"])
def test_what_is_refused_takes_no_place(out, go, tmp_path):
    """Too few questions are told by the first row, when the place is already taken."""
    (tmp_path / "empty").mkdir()
    there = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecipeError, match="allow more"):
        go(tmp_path / out, explainer=EXPLAINERS["shapley"](evaluations=1000))
    assert sorted(tmp_path.rglob("*")) == there
    assert go(tmp_path / out).rows == 45


def test_a_refusal_leaves_the_place_to_whoever_has_it(go, alone, tmp_path, monkeypatch):
    """Of a run that goes on, and of another process that has begun the same."""
    out, much = tmp_path / "alone", []

    def refused(*_):
        raise RecipeError("no")

    monkeypatch.setattr(many_rows, "_explained", refused)
    for path in out.glob("part-*"):
        path.unlink()
    with pytest.raises(RecipeError):
        go(out)
    assert [path.name for path in out.iterdir()] == [many_rows.ABOUT]

    def given_back(piece, job):
        if not much:
            (tmp_path / "two" / many_rows.ABOUT).write_text("of another run")
        much.append(piece)
        return b""

    monkeypatch.setattr(many_rows, "_explained", given_back)
    with pytest.raises(OutputError, match="another model"):
        go(tmp_path / "two")
    assert [path.read_text() for path in (tmp_path / "two").iterdir()] == ["of another run"]


@pytest.mark.parametrize("method", ["shapley", "lime"])
def test_pictures_and_lime(method, frontier, digits, wine, model, tmp_path):  # noqa: PLR0917
    """Players are those that explain() finds, from the little that a worker is sent."""
    explainer = EXPLAINERS[method](samples=400)
    for path, splits in ((frontier.base.path, digits), (model, wine)):
        out = tmp_path / f"{splits.name}.parquet"
        some = splits.test.rows(slice(3))
        explain_rows(
            path,
            [of_rows("test", some.x)],
            out,
            background=splits.fit.train,
            explainer=explainer,
            name="base",
        )
        predict = OnnxPredictor(path, "base", 1)
        wanted = explain([predict], explainer, some, range(3), background=splits.fit.train)
        found = pd.read_parquet(out)
        assert found["value"].tolist() == [v for a in wanted for v in a.values]
        assert found["player"].tolist() == [n for a in wanted for n in a.names]


def test_every_part_of_a_data_set(wine):
    assert sum(source.rows for source in of_splits(wine)) == 178


def test_what_cannot_be_explained_is_refused_before_work(go, wine, digits, tmp_path):
    x = wine.test.x.copy()
    x[7, 2] = np.nan
    with pytest.raises(DataError, match="row 7 of test has NaN"):
        go(tmp_path / "nan", x=x)
    with pytest.raises(DataError, match="no rows"):
        go(tmp_path / "none", x=x[:0])
    with pytest.raises(MatchError):
        go(tmp_path / "digits", background=digits.fit.train)
    with pytest.raises(MatchError, match="give the 13 columns"):
        go(tmp_path / "narrow", x=wine.test.x[:, :5])
    assert list(tmp_path.iterdir()) == []


def test_a_keras_model_and_the_command(tabular, wine, tmp_path, capsys):
    tabular.save(tmp_path / "net.keras")
    table = pd.DataFrame(wine.test.x[:, ::-1], columns=wine.test.features[::-1])
    table.to_csv(tmp_path / "log.csv", index=False)
    out = tmp_path / "why.parquet"
    command = [tmp_path / "net.keras", "--data", "wine", "--evaluations", 6600, "--json"]
    given = [*command, "--rows", tmp_path / "log.csv", "--out", out, "--background", 50]
    assert run(["explain"], [str(g) for g in given], "explain") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["path"]) == (45, str(out))
    found = pd.read_parquet(out)
    assert (found["part"] == "log.csv").all()
    assert len(found) == 45 * 13
    background = replace(wine.fit.train)
    made = explain_rows(
        tabular,
        [of_rows("log.csv", wine.test.x)],
        tmp_path / "again.parquet",
        choice=Choice(rows=50),
        background=background,
        explainer=FEW,
        name="net",
    )
    pd.testing.assert_frame_equal(found, pd.read_parquet(made.path))


@pytest.mark.parametrize("method", ["integrated", "expected", "deep"])
def test_methods_that_look_inside_are_refused_as_what_they_are(method, tabular, wine, tmp_path):
    """Not by "give the Keras file", which was given."""
    with pytest.raises(RecipeError, match=f"{method} over many rows, where an .onnx is") as told:
        explain_rows(
            tabular,
            of_splits(wine),
            tmp_path / "why.parquet",
            background=wine.fit.train,
            explainer=EXPLAINERS[method](),
        )
    assert "kernel, lime, partition, permutation, shapley; take one of these" in str(told.value)
    assert "give the Keras file" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("choice", [{"hidden": "mean"}, {"rows": 7}])
def test_what_hides_is_refused_where_nothing_is_hidden(choice, go, tmp_path):
    """LIME draws plain columns anew, and hides groups of them."""
    lime = EXPLAINERS["lime"](samples=400)
    with pytest.raises(RecipeError, match=r"for lime over plain columns, of which it hides none"):
        go(tmp_path / "plain", explainer=lime, choice=Choice(**choice))
    assert not (tmp_path / "plain").exists()
    grouped = Choice(groups=(("both", ("hue", "proline")),), **choice)
    assert go(tmp_path / "groups", explainer=lime, choice=grouped).rows == 45
    assert go(tmp_path / "shapley", choice=Choice(**choice)).rows == 45


def test_summary_counts_rows_and_not_lines(go, tmp_path):
    go(tmp_path / "folder")
    go(tmp_path / "why.parquet")
    parts = sorted((tmp_path / "folder").glob("part-*"))
    assert parquet.summary(parts, 45) == parquet.summary([tmp_path / "why.parquet"], 45)


def test_without_pyarrow_nothing_is_claimed(wine, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match="pip install pyarrow"):
        explain_rows(b"", of_splits(wine), tmp_path / "why.parquet", background=wine.fit.train)
    assert not list(tmp_path.iterdir())


def test_a_file_of_rows_that_is_not_there_is_what_is_said(tmp_path, capsys):
    given = ["none.onnx", "--data", "wine", "--rows", str(tmp_path / "none.csv")]
    assert run(["explain"], [*given, "--out", str(tmp_path / "why.parquet")], "explain") == 2
    assert "none.csv; how many, rows such as 3,17,42, all, or a file" in capsys.readouterr().err


def test_what_is_told_of_a_row_does_not_hang_on_its_company(model, wine, tmp_path):
    """Rounded probabilities are known by the background: one row has too few to tell by."""
    from tests.test_quick_explainer import rounded

    path = tmp_path / "net.onnx"
    path.write_bytes(model)
    content = rounded(path)
    found = []
    for rows in (1, 45):
        told = explain_rows(
            content,
            [of_rows("test", wine.test.x[:rows])],
            tmp_path / f"{rows}.parquet",
            background=wine.fit.train,
            explainer=FEW,
            choice=Choice(rows=5),
        )
        lines = pd.read_parquet(told.path)
        found.append(lines[lines["row"] == 0]["value"].tolist())
    assert found[0] == found[1]


def test_parts_that_a_kill_left_behind_go(go, tmp_path):
    out = tmp_path / "why.parquet"
    go(out)
    key = parquet.about(out)["key"]
    left = tmp_path / "why.parquet.parts"
    left.mkdir()
    (left / many_rows.ABOUT).write_text(json.dumps({"key": key}))
    assert go(out).found == 45
    assert not left.exists()
