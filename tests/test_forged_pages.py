"""What a page carries beside its figures, changed by hand, is seen."""

import dataclasses

import numpy as np
import pytest

from toolkit import verification
from toolkit.checks import checked
from toolkit.explainers import EXPLAINERS
from toolkit.glossary import Confusion
from toolkit.measurement import judge
from toolkit.predict import predictor
from toolkit.studying import study


@pytest.fixture(scope="module")
def page(tabular, wine):
    """A run over all rows of a table, and its two models, of which one does not see a column."""
    import keras

    blind = keras.models.clone_model(tabular)
    blind.set_weights(tabular.get_weights())
    first = next(la for la in blind.layers if isinstance(la, keras.layers.Dense))
    kernel, bias = first.get_weights()
    kernel[12] = 0
    first.set_weights([kernel, bias])
    pair = [predictor(tabular, "base"), predictor(blind, "blind")]
    methods = [EXPLAINERS["shapley"](samples=400), EXPLAINERS["lime"](samples=400)]
    run = study(pair, wine, methods=methods, rows=3, sample=12)
    models = {p.name: p for p in pair}
    return checked(dataclasses.replace(run, confusions=judge(models, wine.test)[1])), models


def checks(run, models, splits):
    """What is said of each part of a page."""
    made = verification.recomputed(run, models, splits, rows=len(splits.test))
    return {c.about: c.matches for c in (*made, *verification.figures(run, models, splits))}


def changed(run, what):
    """The run with one thing told otherwise."""
    first, *rest = run.attributions
    if what == "stderr":
        first = dataclasses.replace(first, stderr=first.stderr + 0.01)
    elif what == "facts":
        first = dataclasses.replace(first, facts={**first.facts, "coalitions": -1})
    elif what == "evaluations":
        first = dataclasses.replace(first, evaluations=7)
    elif what == "converged":
        first = dataclasses.replace(first, converged=not first.converged)
    elif what == "confusions":
        k = len(run.confusions[0].counts)
        perfect = [Confusion(c.subject, 12 * np.eye(k, dtype=np.int64)) for c in run.confusions]
        return dataclasses.replace(run, confusions=tuple(perfect))
    elif what == "drifts":
        told = [dataclasses.replace(d, cosine=d.cosine - 0.5) for d in run.drifts]
        return dataclasses.replace(run, drifts=tuple(told))
    else:
        said = [dataclasses.replace(f, sentence=f"{f.sentence} Or so.") for f in run.findings]
        return dataclasses.replace(run, findings=tuple(said))
    return dataclasses.replace(run, attributions=(first, *rest))


def test_a_true_page_is_true_in_all_parts(page, wine):
    run, models = page
    assert run.drifts
    assert run.findings
    assert False not in checks(run, models, wine).values()


@pytest.mark.parametrize("what", ["stderr", "facts", "evaluations", "converged"])
def test_an_attribution_told_otherwise_is_named(what, page, wine):
    """One of a row, which is all that is made again: each is asked as if it were alone."""
    run, models = page
    row = run.attributions[0].row
    alone = dataclasses.replace(
        run, attributions=tuple(a for a in run.attributions if a.row == row)
    )
    assert alone.attributions[0].method == "shapley"

    def said(told):
        made = verification.recomputed(told, models, wine, rows=1)
        return {c.about: c.matches for c in made}["shapley"]

    assert said(alone)
    assert said(changed(alone, what)) is False


@pytest.mark.parametrize("what", ["confusions", "drifts", "findings"])
def test_what_was_told_otherwise_is_named(what, page, wine):
    run, models = page
    told = verification.figures(changed(run, what), models, wine)
    assert {c.about: c.matches for c in told}[what] is False
