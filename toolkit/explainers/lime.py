"""LIME by the lime library, over our own players (Ribeiro et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.explainers.base import Estimate, Explainer, derived
from toolkit.explainers.players import Players
from toolkit.glossary import Doubles, Floats, Predictor
from toolkit.seeding import seeded_numpy


@dataclass(frozen=True, kw_only=True)
class Lime(Explainer):
    """The weights of a linear model fitted to the answers around the row, in probability.

    Pictures and texts: the weight of a patch or word that is there and not hidden. Tables: the
    weight of a column, which lime gives per standard deviation, times the row's distance from the
    mean, so that it says what the column adds to the answer at the mean and stands beside a
    Shapley value; a category counts as being the row's own or another. Columns are not cut into
    bins (lime 0.2.0.1 feeds 0 for a bin with one distinct value), no feature is left out, and the
    same seed draws the same samples for every model.
    """

    method: ClassVar[str] = "lime"

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Fit `repeats` linear models to samples of their own."""
        once = _words if players.segments is None else _picture
        once = _table if players.columns else once
        size = self.samples // self.repeats
        found = []
        for i in range(self.repeats):
            own = derived(seed, i)
            with seeded_numpy(own):
                found.append(once(predict, players, target, size, own))
        values, bases, scores = zip(*found, strict=True)
        return Estimate(
            np.stack(values), float(np.mean(bases)), {"r2": float(np.mean(scores)), "exact": False}
        )


def _table(
    predict: Predictor, players: Players, target: int, samples: int, seed: int
) -> tuple[Doubles, float, float]:
    from lime.lime_tabular import LimeTabularExplainer

    explainer = LimeTabularExplainer(
        players.background.astype(np.float64),
        categorical_features=list(players.categories),
        discretize_continuous=False,
        feature_selection="none",
        random_state=seed,
    )
    shape = players.x.shape

    def ask(x: Any) -> Floats:
        return predict(np.asarray(x, np.float32).reshape(-1, *shape))

    found = explainer.explain_instance(
        players.x.astype(np.float64),
        ask,
        labels=(target,),
        num_features=len(players),
        num_samples=samples,
        model_regressor=_regression(),
    )
    weights = _weights(found, target, len(players))
    distance = (players.x - explainer.scaler.mean_) / explainer.scaler.scale_
    for column in players.categories:
        # lime weighs "the same category as the row", which is so this often already
        distance[column] = 1 - (players.background[:, column] == players.x[column]).mean()
    return weights * distance, float(found.intercept[target]), _score(found, target)


def _picture(
    predict: Predictor, players: Players, target: int, samples: int, seed: int
) -> tuple[Doubles, float, float]:
    from lime import lime_image

    explainer = lime_image.LimeImageExplainer(feature_selection="none", random_state=seed)
    bar = lime_image.tqdm
    lime_image.tqdm = iter  # its progress bar cannot be turned off, and ours is drawn already
    try:
        found = explainer.explain_instance(
            players.x,  # (h, w, c): lime makes rgb only of (h, w)
            lambda x: predict(np.asarray(x, np.float32)),
            labels=(target,),
            top_labels=None,
            hide_color=players.background[0],
            num_features=len(players),
            num_samples=samples,
            batch_size=1024,
            model_regressor=_regression(),
            segmentation_fn=lambda _: players.segments,
            random_seed=seed,
        )
    finally:
        lime_image.tqdm = bar
    weights = _weights(found, target, len(players))
    return weights, float(found.intercept[target]), _score(found, target)


def _words(
    predict: Predictor, players: Players, target: int, samples: int, seed: int
) -> tuple[Doubles, float, float]:
    from lime.lime_text import LimeTextExplainer

    explainer = LimeTextExplainer(
        split_expression=str.split, feature_selection="none", random_state=seed
    )

    def ask(texts: list[str]) -> Doubles:
        there = np.zeros((len(texts), len(players)), bool)
        for row, text in zip(there, texts, strict=True):
            row[[int(word) for word in text.split()]] = True
        value = players.value(predict, there, target)
        return np.stack([1 - value, value], axis=1)

    found = explainer.explain_instance(
        # lime is given the players' numbers as its words, and drops them; we hide the players
        " ".join(str(i) for i in range(len(players))),
        ask,
        labels=(1,),
        num_features=len(players),
        num_samples=samples,
        model_regressor=_regression(),
    )
    return _weights(found, 1, len(players)), float(found.intercept[1]), _score(found, 1)


def _regression() -> Any:
    """The surrogate; lime's own penalty of 1 shrinks it by a share that depends on the samples."""
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1e-3)


def _weights(found: Any, target: int, players: int) -> Doubles:
    weights = np.zeros(players)
    for player, weight in found.local_exp[target]:
        weights[player] = weight
    return weights


def _score(found: Any, target: int) -> float:
    score = found.score[target] if isinstance(found.score, dict) else found.score
    # the weighted R2 of a constant answer is 0/0: nothing was left to explain
    return float(score) if np.isfinite(score) else 1.0
