import dataclasses
import json
from urllib.parse import unquote

import pytest

from toolkit import report, run
from toolkit.cli import run as command
from toolkit.glossary import Measurement


@pytest.fixture
def folder(full_run, tmp_path):
    """Two Runs of a job and one of an explanation, as the commands leave them."""
    for name in ("first", "second"):
        run.save(dataclasses.replace(full_run, title=name), tmp_path / name / "run.json")
    why = dataclasses.replace(full_run, artifacts=(), command="explain")
    run.save(why, tmp_path / "why.json")
    (tmp_path / "notes.json").write_text("{}")
    return tmp_path


def said(arguments, capsys):
    code = command(["report"], [*map(str, arguments)], "report")
    return code, capsys.readouterr()


def test_a_folder_gets_an_index_whose_links_lead_somewhere(folder, capsys):
    code, out = said([folder, "--json"], capsys)
    assert code == 0
    made = [path.split("/")[-1] for path in json.loads(out.out)["pages"]]
    assert made[0] == "index.html"
    text = (folder / "index.html").read_text()
    links = [part.split('"')[0] for part in text.split('href="')[1:]]
    pages = {link for link in links if not link.startswith("#")}
    assert {"./first/compression.html", "./second/reasons.html", "./why.html"} <= pages
    assert all((folder / link).is_file() for link in pages)


def test_a_run_is_written_again_in_another_language(folder, capsys):
    assert said([folder / "first" / "run.json", "--lang", "de"], capsys)[0] == 0
    assert '<html lang="de">' in (folder / "first" / "compression.html").read_text()
    assert said([folder / "why.json", "--lang", "zh"], capsys)[0] == 0
    assert '<html lang="zh-Hans">' in (folder / "why.html").read_text()


def test_two_runs_are_compared_with_their_intervals(full_run, tmp_path):
    small = Measurement(full_run.chosen, "accuracy", 50, "%", 100, 45, 55)
    worse = dataclasses.replace(
        full_run,
        created="2026-01-01T00:00:00+00:00",
        seeds={"seed": 7},
        measurements=tuple(
            small if (m.subject, m.name) == (full_run.chosen, "accuracy") else m
            for m in full_run.measurements
        ),
    )
    path = report.write_comparison(("a", "b"), full_run, worse, tmp_path / "both.html")
    text = path.read_text()
    assert "Beyond chance the two differ in: Accuracy, %." in text
    assert "Seeds seed" in text
    same = report.write_comparison(("a", "b"), full_run, full_run, tmp_path / "same.html")
    assert "Nothing that has an interval differs beyond chance." in same.read_text()
    assert "<p>Nothing.</p>" in same.read_text()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none.json"], "no run at none.json"),
        (["why.json", "--lang", "xx"], "language 'xx'; choose one of de, en, zh"),
        (["first", "second"], "ends in .html"),
        (["first", "second", "why.json"], "give fewer"),
        (["notes.json"], "not a saved run"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(arguments, line, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    code, out = said(arguments, capsys)
    assert code == 2
    assert line in out.err
    assert out.err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["compress", "explain", "demo"])
def test_a_language_is_refused_before_anything_is_done(name, tmp_path, capsys):
    given = {"compress": ["m.keras", "--data", "digits"], "explain": ["m.onnx", "--data", "digits"]}
    arguments = [*given.get(name, []), "--out", str(tmp_path / "o"), "--lang", "xx"]
    assert command([name], arguments, name) == 2
    assert "language 'xx'; choose one of de, en, zh" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    code, out = said([tmp_path], capsys)
    assert code == 2
    assert "a folder with a run.json" in out.err


def test_links_lead_into_folders_of_any_name(full_run, tmp_path, capsys):
    """A # would cut the path, and a colon would make a scheme of its beginning."""
    for name in ("run#1 50%", "javascript:alert(1)"):
        run.save(full_run, tmp_path / name / "run.json")
    assert said([tmp_path], capsys)[0] == 0
    text = (tmp_path / "index.html").read_text()
    links = [part.split('"')[0] for part in text.split('href="')[1:]]
    links = [link for link in links if not link.startswith("#")]
    assert links
    for link in links:
        assert link.startswith("./")
        assert (tmp_path / unquote(link)).is_file()


def test_a_run_without_pages_is_refused(tmp_path, capsys):
    run.save(run.Run("t", "now", "c", "base", None, {}), tmp_path / "run.json")
    code, out = said([tmp_path / "run.json", "--out", tmp_path / "z.html"], capsys)
    assert (code, out.err.count("\n")) == (2, 1)
    assert "nothing to show" in out.err


def test_the_pages_of_a_folder_go_where_they_are_wanted(folder, tmp_path, capsys):
    before = {p.relative_to(folder) for p in folder.rglob("*")}
    where = tmp_path / "elsewhere"
    assert said([folder, "--out", where, "--lang", "de"], capsys)[0] == 0
    made = {str(p.relative_to(where)) for p in where.rglob("*.html")}
    assert {"index.html", "first/compression.html", "second/reasons.html", "why.html"} <= made
    assert {p.relative_to(folder) for p in folder.rglob("*")} - before == {
        p.relative_to(folder) for p in (where, *where.rglob("*"))
    }
    links = [part.split('"')[0] for part in (where / "index.html").read_text().split('href="')[1:]]
    assert all((where / link).is_file() for link in links if not link.startswith("#"))
    code, out = said([folder, "--out", tmp_path / "one.html"], capsys)
    assert code == 2
    assert "for several pages" in out.err
