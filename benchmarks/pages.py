"""Our pages beside exports of shap, lime, interpret, shapash and evidently, opened in one browser.

The same network and the same decisions of breast_cancer, explained by SHAP and LIME: one file of
each package. Sizes; time from opening the file to its load event, interleaved; requests; what a
reader without script sees; axe's serious and critical findings. And our pages of 20 pictures and of
1,000 rows of a table, from made-up attributions, for their size and time alone.

python benchmarks/pages.py [--quick] [--peers FOLDER]

FOLDER/interpret-core, FOLDER/shapash and FOLDER/evidently are made by
pip install --target FOLDER/NAME NAME plotly; those that are not there are left out.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PEERS = {
    "shap": """
import shap
told = shap.Explanation(values, base_values=base, data=x, feature_names=names)
shap.save_html(out, shap.plots.force(base, values, x, feature_names=names))
""",
    "lime": """
from lime.lime_tabular import LimeTabularExplainer
from toolkit.predict import OnnxPredictor
import pathlib
predict = OnnxPredictor(pathlib.Path(model), "base")
ours = LimeTabularExplainer(train, feature_names=names, class_names=["0", "1"],
    discretize_continuous=False, random_state=0)
ours.explain_instance(x[0], lambda rows: predict(rows.astype("float32")),
    num_features=10).save_to_file(out)
""",
    "interpret-core": """
from interpret.blackbox import ShapKernel
import pathlib, plotly.io
from toolkit.predict import OnnxPredictor
predict = OnnxPredictor(pathlib.Path(model), "base")
ours = ShapKernel(lambda rows: predict(np.asarray(rows, "float32")), train[:50], names)
ours.explain_local(x[:1]).visualize(0).write_html(out)
""",
    "shapash": """
import pandas, shapash
from sklearn.linear_model import LogisticRegression
frame = pandas.DataFrame(x, columns=names)
labels = np.arange(len(x)) % 2
told = shapash.SmartExplainer(model=LogisticRegression(max_iter=9).fit(frame, labels))
told.compile(x=frame, contributions=[pandas.DataFrame(-values, columns=names),
    pandas.DataFrame(values, columns=names)], y_pred=pandas.Series(labels, name="y"))
told.plot.features_importance().write_html(out)
""",
    "evidently": """
import pandas
from evidently import Dataset, DataDefinition, Report
from evidently.presets import DataSummaryPreset
frame = pandas.DataFrame(x, columns=names)
Report([DataSummaryPreset()]).run(Dataset.from_pandas(frame, data_definition=DataDefinition()),
    None).save_html(out)
""",
}
"""Each writes `out`; it is given x, values, base, names, train and the path of the model."""

NOTES = {
    "lime": "one decision a file",
    "interpret-core": "one decision a file",
    "shapash": "its plot of importance; the report needs a notebook",
    "evidently": "its data summary: it explains no decisions",
}


def explained(folder, rows, samples):
    """Decisions of breast_cancer by our two methods, and all that the peers need of them."""
    from toolkit import artifact, data, models, training
    from toolkit.explainers import EXPLAINERS
    from toolkit.exporting import export
    from toolkit.predict import predictor
    from toolkit.studying import study

    splits = data.load("breast_cancer")
    start = models.build("tabular", splits.fit.train)
    model, _ = training.train(start, splits.fit, training.Settings(epochs=20, batch=32))
    path = artifact.save(export(model, splits.fit.validation).model, "base", folder).path
    quick = [EXPLAINERS[m](samples=samples) for m in ("shapley", "lime")]
    run = study([predictor(path, "base")], splits, methods=quick, rows=rows)
    mine = [a for a in run.attributions if a.method == "shapley"]
    np.savez(
        folder / "given.npz",
        x=np.stack([d.x for d in run.decisions]),
        values=np.stack([a.values for a in mine]),
        base=np.float64(mine[0].base),
        train=splits.fit.train.x,
        names=np.array(splits.test.features),
        model=str(path),
    )
    return run


def exported(name, code, folder, peers):
    """The file a peer writes, in a process of its own; None and why where it cannot."""
    out = folder / f"{name}.html"
    given = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import numpy as np\n"
        f"given = np.load({str(folder / 'given.npz')!r})\n"
        "x, values, train = given['x'], given['values'], given['train']\n"
        "base, names, model = float(given['base']), given['names'].tolist(), str(given['model'])\n"
        f"out = {str(out)!r}\n"
    )
    own = [str(Path.cwd())]
    if name not in ("shap", "lime"):
        if peers is None or not (peers / name).is_dir():
            return None, "not installed"
        own.append(str(peers / name))
    done = subprocess.run(
        [sys.executable, "-c", given + code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(own), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode or not out.is_file():
        return None, (done.stderr.strip().splitlines() or ["nothing written"])[-1][:110]
    return out, ""


def made_up(kind, n, p, rng):
    """A Run of n decisions of two models by two methods, with p players each."""
    from toolkit.glossary import Attribution, Decision
    from toolkit.run import Run

    names = tuple(f"feature {i}" for i in range(p))
    pictured = kind == "image"
    side = 32
    cells = np.minimum(np.arange(side) * 7 // side, 6)
    segments = cells[:, None] * 7 + cells[None, :] if pictured else None

    def one(row):
        x = rng.random((side, side, 3)) if pictured else rng.normal(size=p)
        said = {s: np.float32([0.3, 0.7]) for s in ("base", "int8")}
        return Decision(row, x.astype(np.float32), row % 2, names, segments, said)

    def why(method, subject, row):
        values = 0.1 * rng.normal(size=p)
        end = 0.5 + float(values.sum())
        error = 0.1 * np.abs(values)
        return Attribution(method, subject, row, values, error, 0.5, end, 1, 4096, 0, True)

    return Run(
        "made up",
        "2026-01-01T00:00:00+00:00",
        "explain",
        "base",
        "int8",
        {
            "name": "made up",
            "kind": kind,
            "classes": ["no", "yes"],
            "features": [] if pictured else list(names),
            "rows": {"test": n},
        },
        decisions=tuple(one(row) for row in range(n)),
        attributions=tuple(
            why(method, subject, row)
            for method in ("shapley", "lime")
            for row in range(n)
            for subject in ("base", "int8", "base - int8")
        ),
    )


def opened(files, repeats):
    """What a browser says of each file: ms to its load event, requests, words without script."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    found = {name: {"ms": []} for name in files}
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        for _ in range(repeats):
            for name, path in files.items():
                page = browser.new_page()
                page.goto(path.as_uri(), wait_until="load")
                took = "performance.getEntriesByType('navigation')[0].loadEventEnd"
                page.wait_for_function(f"{took} > 0")
                found[name]["ms"].append(page.evaluate(took))
                page.close()
        for name, path in files.items():
            asked, page = [], browser.new_page()
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(path.as_uri(), wait_until="load")
            page.wait_for_timeout(500)
            serious = [
                v["id"]
                for v in Axe().run(page).response["violations"]
                if v["impact"] in ("serious", "critical")
            ]
            page.close()
            page = browser.new_page(java_script_enabled=False)
            page.goto(path.as_uri())
            words = len(page.inner_text("body").split())
            page.close()
            asked = [url for url in asked if url.startswith("http")]
            found[name] |= {"asked": len(asked), "words": words, "axe": serious}
        browser.close()
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", type=Path)
    given = parser.parse_args()
    rows, samples, repeats = (6, 400, 5) if given.quick else (20, 4096, 15)
    from toolkit import report
    from toolkit.report import templates

    code = len(templates.style().encode()) + len(templates.script().encode())
    print(f"code and style of every page: {code / 1e3:.1f} kB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = explained(folder, rows, samples)
        rng = np.random.default_rng(0)
        ours = {
            f"ours, {len(run.decisions)} rows": run,
            "ours, 20 pictures": made_up("image", 20, 49, rng),
            "ours, 1,000 rows": made_up("tabular", 1000, 14, rng),
        }
        files = {
            title: report.write_page(one, "explanation", folder / f"{i}.html")
            for i, (title, one) in enumerate(ours.items())
        }
        for peer, text in PEERS.items():
            path, why = exported(peer, text, folder, given.peers)
            if path is None:
                print(f"{peer} is left out: {why}")
            else:
                files[peer] = path
        print(f"{'':18}{'MB':>8}{'ms to load':>12}{'(quartiles)':>14}{'asked':>7}{'words':>7}  axe")
        for title, told in opened(files, repeats).items():
            low, middle, high = statistics.quantiles(told["ms"], n=4)
            size = files[title].stat().st_size / 1e6
            print(
                f"{title:18}{size:8.2f}{middle:12.0f}{f'{low:.0f} to {high:.0f}':>14}"
                f"{told['asked']:7}{told['words']:7}  {', '.join(told['axe']) or 'none'}"
                f"{'; ' + NOTES[title] if title in NOTES else ''}"
            )
    print("asked: requests to the network; words: those seen with script turned off")
    print(f"axe: serious and critical findings; ms: median of {repeats} interleaved openings")


if __name__ == "__main__":
    main()
