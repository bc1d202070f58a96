"""The sections of the explanation page: decisions, their reasons, and how good the reasons are."""

from __future__ import annotations

import string

import numpy as np
from markupsafe import Markup, escape

from toolkit.glossary import Attribution, Decision, Layer
from toolkit.report import charts, pictures
from toolkit.report.compression import findings, provenance
from toolkit.report.quantities import plain, signed
from toolkit.report.templates import rendered
from toolkit.report.words import reasons
from toolkit.run import Run

Part = tuple[str, str, Markup] | None

_UNITS = 24


def result(run: Run) -> Part:
    """Whether the models decide for the same reasons, first and large."""
    text = reasons(run) or f"{len(run.decisions)} decisions of {run.base}, explained."
    return "verdict", "Verdict", rendered("verdict.html", text=text, warn=False, run=run)


def decided(run: Run) -> Part:
    """A card for every decision: the input, the prediction, SHAP and LIME side by side."""
    if not run.decisions:
        return None
    cards = [_card(run, decision) for decision in run.decisions]
    return "decisions", "Decisions", rendered("decisions.html", cards=cards)


def likeness(run: Run) -> Part:
    """The figures of fidelity, a row for each model and method."""
    pairs = [
        (m.subject, m.name.removeprefix("reason_cosine "))
        for m in run.measurements
        if m.name.startswith("reason_cosine ") and m.name.count(" ") == 1  # no class or slice
    ]
    if not pairs:
        return None
    rows = [
        (
            subject,
            method,
            [run.measured(subject, f"reason_{name} {method}") for name in _LIKENESS],
            run.measured(run.base, f"reason_floor {method}"),
        )
        for subject, method in pairs
    ]
    return "likeness", "The same reasons?", rendered("likeness.html", rows=rows, base=run.base)


_LIKENESS = ("cosine", "cosine_p5", "spearman", "top3", "sign")


def quality(run: Run) -> Part:
    """Deletion and insertion, a row for each model and order."""
    rows = [
        (m.subject, m.name.removeprefix("deletion_"), m)
        for m in run.measurements
        if m.name.startswith("deletion_")
    ]
    if not rows:
        return None
    both = [(s, method, m, run.measured(s, f"insertion_{method}")) for s, method, m in rows]
    return "quality", "Are the reasons any good?", rendered("quality.html", rows=both)


def learnt(run: Run) -> Part:
    """Weights of the first and last layer, and what each layer answers to one row."""
    if not run.layers:
        return None
    weights = [(one, _weights(one)) for one in run.layers if one.role == "weights"]
    answers = [(one, _activation(one)) for one in run.layers if one.role == "activation"]
    return (
        "layers",
        "What the layers learnt",
        rendered("layers.html", weights=weights, answers=answers),
    )


SECTIONS = (result, decided, likeness, quality, learnt, findings, provenance)


def _card(run: Run, decision: Decision) -> dict[str, object]:
    """Everything that one decision's card shows."""
    classes = [str(name) for name in run.data["classes"]]
    ours = [a for a in run.attributions if a.row == decision.row]
    methods = list(dict.fromkeys(a.method for a in ours))
    # one scale a method, so that models can be compared by eye
    most = {
        m: max((float(np.abs(a.values).max()) for a in ours if a.method == m), default=1.0)
        for m in methods
    }
    named = dict(enumerate(classes))
    predictions = [
        (subject, named[int(p.argmax())], _top(p, classes), int(p.argmax()) == decision.label)
        for subject, p in decision.probabilities.items()
    ]
    return {
        "row": decision.row,
        "label": named[decision.label],
        "target": named[ours[0].target] if ours else "",
        "input": _input(decision),
        "text": decision.text,
        "table": _table(run, decision),
        "predictions": predictions,
        "differ": len({answer for _, answer, _, _ in predictions}) > 1,
        "methods": [
            (m, [(a, _drawn(decision, a, most[m])) for a in ours if a.method == m]) for m in methods
        ],
    }


def _top(p: np.ndarray, classes: list[str]) -> list[tuple[str, float]]:
    order = np.argsort(-p, kind="stable")[:5]
    return [(classes[i], float(p[i])) for i in order]


def _input(decision: Decision) -> Markup | None:
    if decision.segments is None:
        return None
    picture = pictures.enlarged(pictures.grey(decision.x), 140)
    return pictures.image(picture, f"row {decision.row}, the input")


def _table(run: Run, decision: Decision) -> list[tuple[str, str]]:
    if decision.segments is not None or decision.text is not None:
        return []
    categories = run.data.get("categories", {})
    values = [
        categories[str(i)][int(value)] if str(i) in categories else plain(value)
        for i, value in enumerate(decision.x.reshape(-1).tolist())
    ]
    return list(zip(decision.players, values, strict=True))


def _drawn(decision: Decision, a: Attribution, most: float) -> Markup:
    label = f"{a.method} of {a.subject}, row {a.row}"
    if decision.segments is not None:
        shown = pictures.overlay(decision.x, decision.segments, a.values, most)
        best = decision.players[int(np.argmax(np.abs(a.values)))]
        return pictures.image(
            pictures.enlarged(shown, 140), f"{label}: {best} counts most, see the colours"
        )
    if decision.text is not None:
        return _coloured(decision, a, most) + _foremost(decision, a, most, label)
    return charts.bars(decision.players, a.values, a.stderr, most, label)


_FOREMOST = 10


def _foremost(decision: Decision, a: Attribution, most: float, label: str) -> Markup:
    """The words that count most, as bars."""
    first = np.argsort(-np.abs(a.values), kind="stable")[:_FOREMOST]
    names = [decision.players[i] for i in first]
    return charts.bars(names, a.values[first], a.stderr[first], most, label)


def _coloured(decision: Decision, a: Attribution, most: float) -> Markup:
    """The text with each word on the colour of its value; the title tells the value."""
    place = {name: i for i, name in enumerate(decision.players)}
    parts = []
    for word in (decision.text or "").split():
        bare = word.lower().translate(_BARE)
        player = next((place[form] for form in (word, word.lower(), bare) if form in place), None)
        if player is None:
            parts.append(escape(word))
            continue
        value = float(a.values[player])
        r, g, b = pictures.diverging(np.array([0.75 * value]), most)[0]
        parts.append(
            Markup('<mark style="background:rgb({},{},{})" title="{}">{}</mark>').format(
                r, g, b, signed(value), word
            )
        )
    return Markup('<p class="words">{}</p>').format(Markup(" ").join(parts))


_BARE = str.maketrans("", "", string.punctuation)


def _weights(layer: Layer) -> list[tuple[str, Markup]]:
    """Each unit of a layer as a small picture: its inputs as an image where they are one."""
    values = layer.values
    units = values.shape[-1]
    most = float(np.abs(values).max())
    found = []
    for unit in range(min(units, _UNITS)):
        one = values[..., unit]
        if layer.image is not None:
            one = one.reshape(layer.image).mean(axis=2)
        elif one.ndim == 3:
            one = one.mean(axis=2)
        else:
            one = one.reshape(1, -1)
        shown = pictures.enlarged(
            pictures.diverging(one.astype(np.float64), most), 56 if one.shape[0] > 1 else 16
        )
        found.append((str(unit + 1), pictures.image(shown, f"{layer.name}, unit {unit + 1}")))
    return found


def _activation(layer: Layer) -> Markup:
    """One layer's answer: maps side by side for a convolution, a strip of cells otherwise."""
    values = layer.values.astype(np.float64)
    most = float(np.abs(values).max())
    if values.ndim == 3:
        # ONNX keeps channels first
        maps = [np.pad(channel, 1) for channel in values[:16]]
        grid = np.concatenate(maps, axis=1)
        return pictures.image(
            pictures.enlarged(pictures.diverging(grid, most), 56), f"{layer.name}, answers"
        )
    strip = values.reshape(1, -1)[:, :256]
    return pictures.image(
        pictures.enlarged(pictures.diverging(strip, most), 22), f"{layer.name}, answers"
    )
