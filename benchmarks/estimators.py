"""Estimators of Shapley values to measure beside each other: ours, shap's, shapiq's, papers'.

Each is asked as run(onnx, players, target, evaluations, seed) and gives values, f64 (players,).
"""

import numpy as np
import shap
from published import leverage, odd_shap, regression_msr

from toolkit.explainers.shapley import Shapley

try:
    import shapiq
except ImportError:
    shapiq = None


def coalition_game(onnx, players, target):
    """What peers that think in coalitions are given: the same large batches."""

    def value(z):
        return players.value(onnx, np.atleast_2d(np.asarray(z, bool)), target)

    return value


def by_shapiq(kind, **settings):
    """An approximator of shapiq."""

    def run(onnx, players, target, evaluations, seed):
        p, value = len(players), coalition_game(onnx, players, target)
        nobody = float(value(np.zeros((1, p)))[0])
        made = getattr(shapiq, kind)(n=p, random_state=seed, **settings)
        found = made.approximate(
            max(evaluations // len(players.background), 2), lambda z: value(z) - nobody
        )
        return np.array([found[(i,)] for i in range(p)])

    return run


def by_kernel(onnx, players, target, evaluations, seed):
    """KernelExplainer of shap with every feature kept, over coalitions of players."""
    np.random.seed(seed)  # noqa: NPY002
    b, p = len(players.background), len(players)
    explainer = shap.KernelExplainer(coalition_game(onnx, players, target), np.zeros((1, p)))
    return explainer.shap_values(np.ones(p), nsamples=evaluations // b, l1_reg=False, silent=True)


def by_permutation(onnx, players, target, evaluations, seed):
    """PermutationExplainer of shap, over coalitions of players."""
    p, b = len(players), len(players.background)
    explainer = shap.explainers.Permutation(
        coalition_game(onnx, players, target), np.zeros((1, p)), seed=seed
    )
    most = max(evaluations // b, 2 * p + 1)
    return explainer(np.ones((1, p)), max_evals=most, silent=True).values[0]


def by_us(onnx, players, target, evaluations, seed):
    """Ours."""
    return Shapley(evaluations=evaluations)(onnx, players, target, seed=seed).values


def by_published(estimator):
    """An estimator of published.py."""

    def run(onnx, players, target, evaluations, seed):
        value = coalition_game(onnx, players, target)
        return estimator(value, len(players), evaluations // len(players.background), seed)

    return run


PEERS = {
    "shap Kernel": by_kernel,
    "shap Permutation": by_permutation,
    "Leverage SHAP": by_published(leverage),
    "RegressionMSR": by_published(regression_msr),
    "OddSHAP": by_published(odd_shap),
}
if shapiq:
    PEERS |= {
        "shapiq KernelSHAP": by_shapiq("KernelSHAP", pairing_trick=True),
        "shapiq Permutation": by_shapiq("PermutationSamplingSV"),
        "shapiq SVARM": by_shapiq("SVARM"),
    }
