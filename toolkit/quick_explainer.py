"""distil_explainer(): a small net that says in one pass what exact Shapley values would say.

It learns from cheap unbiased estimates (`explainer_labels`), which erred less for the time than the
objective of FastSHAP (Jethani et al. 2022): `benchmarks/distilled_explainer.py` has both.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import explainer_net
from toolkit.checkpoints import digest
from toolkit.errors import MatchError, ModelError
from toolkit.explainer_labels import asked, exact, labels_of, reference, rows_of
from toolkit.explainer_net import Front, answers
from toolkit.explainers import Players
from toolkit.explainers.choices import USUAL, Choice
from toolkit.fidelity.resolution import resolved
from toolkit.files import sha256, write_bytes
from toolkit.glossary import Doubles, Facts, Fit, Floats, History, Predictor, Splits
from toolkit.many_rows import model_bytes
from toolkit.metrics import median_ranks
from toolkit.passes import PASSES
from toolkit.predict import OnnxPredictor, fitting
from toolkit.runtime import session
from toolkit.shapes import in_shape
from toolkit.training import Settings, fitted

ROWS = 16_384
"""Rows with labels."""

HELD = 100
"""Test rows beside whose exact values the net is judged."""

SETTINGS = Settings(epochs=80, batch=256, learning_rate=4e-3)

_VALIDATION = 1024
_ROUNDS = 15
_BOOTSTRAP = 2000


@dataclass(frozen=True, eq=False)
class Judged:
    """How far an explainer is from exact values on `rows` held back, and how quick it is.

    error: the mean distance of its values from the exact ones, over the mean length of these: 0 is
    exact, 1 is as far off as saying nothing. low, high: its 95 % interval, by bootstrap over rows.
    constant: the error of the mean label of the class, whatever the row. exact: whether the values
    beside which it stands are. quicker: how many times faster classifier and net together answer
    one row on one thread than it is explained by these, with the 95 % interval of the median.
    """

    error: float
    low: float
    high: float
    constant: float
    rows: int
    exact: bool
    quicker: tuple[float, float, float]

    def within(self, limit: float) -> bool:
        """Whether the error is surely no larger than `limit`: by the upper end of its interval."""
        return self.high <= limit


@dataclass(frozen=True, eq=False)
class Distilled:
    """An explainer as the bytes of an `.onnx`, how good it is, and how it came about."""

    content: bytes
    judged: Judged
    facts: Facts

    def save(self, path: str | Path) -> Path:
        """Write the `.onnx`, whole or not at all."""
        return write_bytes(Path(path), self.content)


def distil_explainer(
    model: Any,
    splits: Splits,
    *,
    rows: int = ROWS,
    evaluations: int | None = None,
    choice: Choice = USUAL,
    settings: Settings = SETTINGS,
    seed: int = 0,
) -> Distilled:
    """Train a net that gives the Shapley values of the foremost class of any row in one pass.

    model: an `.onnx` as a path or bytes, or a keras.Model, which is exported first. choice: who the
    players are and what hides them; by default the columns of a table and 100 training rows, or 16
    patches of a picture and the mean picture. evaluations: rows the model is asked for each of the
    labels of `rows` training rows; None is what costs least for what it tells. Raises RecipeError
    for texts and others whose players differ from row to row.

    >>> from toolkit import data, models
    >>> wine = data.load("wine")
    >>> net = models.build("tabular", wine.fit.train)
    >>> brief = Settings(epochs=1)
    >>> few = Choice(rows=3)
    >>> made = distil_explainer(net, wine, rows=64, choice=few, settings=brief)
    >>> made.judged.rows, made.judged.exact
    (45, True)
    """
    content, known = model_bytes(model, splits.fit.train)
    whole = OnnxPredictor(content, "classifier", 1)
    fitting(whole, splits.test)
    test = splits.test
    players = asked(splits.fit.train, choice, seed)
    predict, _ = resolved(whole, in_shape(test.x[:200], whole.shape))
    base = predict(players.background).mean(axis=0, dtype=np.float64)
    front = explainer_net.front_of(splits.fit.train, base, len(players))
    # what the file leaves open is as long as it is in the data
    shape = in_shape(test.x[:1], whole.shape).shape[1:]
    x = rows_of(splits.fit.train, rows, seed)
    held = np.asarray(splits.fit.validation.spread(_VALIDATION).x[:], np.float32)
    # a device has the answers of the file, which may be rounded where their reasons are not
    p, p_held = whole(x), whole(held)
    labels, more = (
        labels_of(predict, players, r, said.argmax(axis=1), evaluations=evaluations, seed=seed)
        for r, said in ((x, p), (held, p_held))
    )
    net, history = _trained(front, (x, labels, p), (held, more, p_held), settings, seed)
    ranked = p.argmax(axis=1)
    explainer_net.halve(net)
    about = {
        "explains": known,
        "says": "Shapley values of the foremost class, in probability",
        "players": json.dumps(players.names),
        "classes": json.dumps(test.classes),
        "base": json.dumps(base.tolist()),
        "background": digest(players.background),
        "hidden": players.hidden,
        "seed": seed,
    }
    picked = np.sort(np.random.default_rng([seed, 3]).permutation(len(test))[:HELD])
    tested = np.asarray(test.rows(picked).x, np.float32)
    p = whole(tested)
    made = _short(explainer_net.written(net, front, shape, about), splits.fit)
    difference = explainer_net.proven(made, net, front, tested, p)
    truth, surely = exact(predict, players, tested, p.argmax(axis=1), seed)
    means = np.array(
        [
            labels[ranked == c].mean(axis=0) if (ranked == c).any() else 0 * labels[0]
            for c in range(whole.classes)
        ]
    )
    error, low, high = error_of(answers(made, tested, p), truth, seed)
    judged = Judged(
        error,
        low,
        high,
        error_of(means[p.argmax(axis=1)], truth, seed)[0],
        len(tested),
        surely,
        _quicker((content, made), predict, players, tested),
    )
    told = {**about, "error": f"{error:.4f}, {low:.4f} to {high:.4f} on {len(tested)} rows"}
    made = _short(explainer_net.written(net, front, shape, told), splits.fit)
    facts = {
        **told,
        **history.facts,
        "labels": rows,
        "evaluations": evaluations,
        "bytes": len(made),
        "largest_difference": difference,
    }
    return Distilled(made, judged, facts)


def error_of(found: Any, truth: Doubles, seed: int = 0) -> tuple[float, float, float]:
    """The mean distance over the mean length of the truth, with a 95 % bootstrap interval.

    >>> truth = np.array([[3.0, 4.0], [0.0, 5.0]])
    >>> error_of(0 * truth, truth)
    (1.0, 1.0, 1.0)
    """
    apart = np.linalg.norm(np.asarray(found, np.float64) - truth, axis=1)
    length = np.linalg.norm(truth, axis=1)
    rng = np.random.default_rng([seed, 4])
    drawn = rng.integers(len(truth), size=(_BOOTSTRAP, len(truth)))
    ratios = apart[drawn].sum(axis=1) / np.maximum(length[drawn].sum(axis=1), 1e-12)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(apart.sum() / max(length.sum(), 1e-12)), float(low), float(high)


def together(model: Path, explainer: Path) -> Any:
    """A function x -> (probabilities f32 (n, k), attributions f32 (n, p)), one pass of each file.

    Raises MatchError for an explainer of another model, ModelError for a file that is none.
    """
    import onnx

    told = {e.key: e.value for e in onnx.load(explainer).metadata_props}
    if "explains" not in told:
        raise ModelError(f"{explainer} is no explainer", "a file of --distil-explainer", "make one")
    if told["explains"] != sha256(model):
        raise MatchError(
            f"{explainer} explains {told['explains'][:12]} and not {model} ({sha256(model)[:12]})",
            "the file it was made from",
            "distil one from this model",
        )
    classify, opened = OnnxPredictor(model, model.stem, 1), session(explainer, 1)

    def both(x: Floats) -> tuple[Floats, Floats]:
        p = classify(x)
        return p, answers(opened, x, p)

    return both


def _short(content: bytes, fit: Fit) -> bytes:
    """The same file with weights in 16 bits, which they fit, and nothing that only people read."""
    import onnx

    model = onnx.load_from_string(content)
    for kind in ("float16", "shorten"):
        model = PASSES[kind]()(model, fit).model
    return bytes(model.SerializeToString())


def _trained(
    front: Front,
    train: tuple[Floats, Doubles, Floats],
    held: tuple[Floats, Doubles, Floats],
    settings: Settings,
    seed: int,
) -> tuple[Any, History]:
    """The net, trained on rows with their labels and probabilities."""
    (x, y, p), (x_held, y_held, p_held) = train, held
    scale = float(((y - y.mean(axis=0)) ** 2).sum(axis=1).mean()) or 1.0
    return fitted(
        explainer_net.net_of(front, seed),
        (front.features(x, p), explainer_net.targets_of(front, y, p)),
        (front.features(x_held, p_held), explainer_net.targets_of(front, y_held, p_held)),
        explainer_net.loss_of(front, scale),
        settings,
        subject="explainer",
        seed=seed,
        accuracy=[],
        decay=True,
    )


def _quicker(
    files: tuple[bytes, bytes], predict: Predictor, players: Players, x: Floats
) -> tuple[float, float, float]:
    """Exact explanation beside both files, row by row, interleaved: the median ratio of times."""
    classify, explainer = OnnxPredictor(files[0], "classifier", 1), session(files[1], 1)
    slow = reference(len(players))
    ratios = []
    for row in x[:_ROUNDS]:
        target = int(predict(row[None])[0].argmax())
        start = time.perf_counter()
        slow(predict, replace(players, x=row), target)
        between = time.perf_counter()
        for _ in range(10):
            answers(explainer, row[None], classify(row[None]))
        ratios.append((between - start) / ((time.perf_counter() - between) / 10))
    ratios.sort()
    low, high = median_ranks(len(ratios))
    return float(np.median(ratios)), ratios[low], ratios[high]
