"""Names and texts of a user that would be code in a page."""

from html.parser import HTMLParser

import numpy as np

from toolkit import report, run
from toolkit.checks import checked
from toolkit.data import load
from toolkit.explainers import EXPLAINERS
from toolkit.models import build
from toolkit.search import compress
from toolkit.studying import joined, study

EVIL = "<script>alert(1)</script>"


class Tags(HTMLParser):
    """The tags of a page that would run something or were written by a user."""

    def __init__(self):
        super().__init__()
        self.bad, self.ours = [], 0

    def handle_starttag(self, tag, attrs):
        runs = any(name.startswith("on") for name, _ in attrs)
        # three are ours: the run as data, the words of the script, the script
        ours = tag == "script" and self.ours < 3
        self.ours += ours
        if runs or (tag in ("script", "b", "i") and not ours) or ("src", "x") in attrs:
            self.bad.append((tag, attrs))


def bad(text):
    tags = Tags()
    tags.feed(text)
    return tags.bad


def test_labels_columns_categories_and_names_with_html(tmp_path):
    from toolkit.predict import predictor

    rng = np.random.default_rng(0)
    lines = [f'"{EVIL}","<img src=x onerror=alert(2)>",label']
    for i in range(120):
        kind = "<b>x</b>" if rng.random() > 0.5 else "y&amp;"
        lines.append(f'{rng.normal():.3f},{kind},"{"<i>a</i>" if i % 2 else EVIL}"')
    text = "\n".join(lines)
    path = tmp_path / "evil.csv"
    path.write_text(text, encoding="utf-8")
    splits = load(path)
    model = build("tabular", splits.fit.train)
    frontier = compress(model, splits, ["float16"], out=tmp_path / "out")
    quick = [EXPLAINERS[m](samples=200) for m in ("shapley", "lime")]
    pair = [predictor(frontier.base.path, EVIL), predictor(frontier.candidates[0].path, "b")]
    why = study(pair, splits, methods=quick, rows=3)
    found = checked(joined(frontier.run, why))
    for page in report.write(run.from_json(run.to_json(found)), tmp_path):
        assert bad(page.read_text()) == []


def test_texts_with_html(tmp_path):
    from toolkit.predict import predictor

    for name in ("good", "bad"):
        line = f"<b>{name}</b> film <img src=x onerror=alert(1)> </p><script>alert(1)</script>"
        (tmp_path / f"{name}.txt").write_text(f"{line}\n" * 60)
    splits = load(f"{tmp_path}/good.txt,{tmp_path}/bad.txt")
    model = build("text", splits.fit.train)
    quick = [EXPLAINERS[m](samples=200) for m in ("shapley", "lime")]
    found = checked(study([predictor(model, "m")], splits, methods=quick, rows=2))
    report.write_page(found, "explanation", tmp_path / "why.html")
    text = (tmp_path / "why.html").read_text()
    assert bad(text) == []
    assert "&lt;script&gt;alert" in text
