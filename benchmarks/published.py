"""Published estimators of Shapley values that shapiq 1.4.1 does not have, as peers.

Each asks v over pairs of a coalition and its complement, bool (m, k) -> f64 (m,), drawn by the
toolkit's own design, which is that of Leverage SHAP without replacement: so what differs is what is
made of the answers. Trees are scikit-learn's.
"""

import numpy as np
import shap
from sklearn.ensemble import GradientBoostingRegressor

from toolkit.explainers.designs import drawn

ODD = 10
"""Answers for each coefficient that OddSHAP fits, as its authors set it."""

TOGETHER = 3
"""Players of the products that are looked at; trees of depth 10 have millions of all sizes."""


def asked(v, k, budget, seed):
    """A design, the answers to its coalitions and to their complements, and v(all) - v(none)."""
    design = drawn(k, max(budget // 2 - 1, 2), np.random.default_rng(seed))
    z = np.concatenate([design.shown, ~design.shown, np.ones((1, k), bool), np.zeros((1, k), bool)])
    y = v(z)
    m = len(design.shown)
    return design, y[:m], y[m : 2 * m], y[-2:], z, y


def constrained(basis, y, weights, ends, total):
    """Least squares among the coefficients whose sum at the full coalition is the total."""
    root = np.sqrt(weights)[:, None]
    # the constraint as one row that outweighs all others
    heavy = 1e4 * root.max()
    a = np.concatenate([root * basis, heavy * ends[None]])
    b = np.concatenate([root[:, 0] * y, [heavy * total]])
    return np.linalg.lstsq(a, b, rcond=None)[0]


def leverage(v, k, budget, seed):
    """Leverage SHAP (Musco and Witter 2025): KernelSHAP's regression over that design."""
    design, y, other, ends, *_ = asked(v, k, budget, seed)
    signs = np.where(design.shown, 1.0, -1.0)
    return constrained(signs, y - other, design.weights, np.ones(k), ends[0] - ends[1])


def boosted(z, y, seed, depth=6):
    """Gradient-boosted trees on coalitions."""
    trees = GradientBoostingRegressor(max_depth=depth, n_estimators=100, random_state=seed)
    return trees.fit(z.astype(float), y)


def regression_msr(v, k, budget, seed):
    """RegressionMSR (Witter, Liu and Musco 2025): values of trees, and MSR of what they leave.

    One half's trees correct the other half, so that no answer corrects what was fitted to it.
    """
    design, y, other, ends, *_ = asked(v, k, budget, seed)
    shown, size = design.shown, design.shown.sum(axis=1)
    everyone, found = np.ones((1, k)), np.zeros(k)
    # every second pair of a size
    half = (np.arange(len(y)) - np.searchsorted(size, size)) % 2
    for fold in (0, 1):
        own, rest = half == fold, half != fold
        z = np.concatenate([shown[rest], ~shown[rest], everyone, 0 * everyone])
        trees = boosted(z, np.concatenate([y[rest], other[rest], ends]), seed)
        values = shap.TreeExplainer(trees, 0 * everyone).shap_values(everyone)[0]
        said = [trees.predict(each.astype(float)) for each in (shown[own], ~shown[own])]
        left = y[own] - other[own] - said[0] + said[1]
        # what a pair adds by Shapley's formula, its size shared among those of it that were asked
        s = size[own]
        mass = np.where(2 * s == k, 0.5, 1.0) / np.bincount(s)[s]
        part = np.where(shown[own], 1 / s[:, None], -1 / (k - s)[:, None])
        found += (values + (mass * left) @ part) / 2
        found += (ends[0] - ends[1] - values.sum()) / k / 2
    return found


def fourier(tree, node=0):
    """A tree on 0 and 1 as products of at most `TOGETHER` signs: {players: coefficient}."""
    if tree.children_left[node] < 0:
        return {frozenset(): float(tree.value[node].ravel()[0])}
    absent, present = (
        fourier(tree, int(c[node])) for c in (tree.children_left, tree.children_right)
    )
    own, found = frozenset([int(tree.feature[node])]), {}
    for players in absent.keys() | present.keys():
        a, b = absent.get(players, 0.0), present.get(players, 0.0)
        found[players] = found.get(players, 0.0) + (a + b) / 2
        # no path asks a player twice
        if len(players) < TOGETHER:
            found[players | own] = found.get(players | own, 0.0) + (b - a) / 2
    return found


def odd_shap(v, k, budget, seed):
    """OddSHAP (Fumagalli et al. 2026): regression on odd products of signs that trees point out."""
    design, y, other, ends, z, all_y = asked(v, k, budget, seed)
    weight = {}
    for tree in boosted(z, all_y, seed, depth=10).estimators_[:, 0]:
        for players, value in fourier(tree.tree_).items():
            if len(players) % 2 and len(players) > 1:
                weight[players] = weight.get(players, 0.0) + value
    most = max(budget // ODD - k, 0)
    chosen = [frozenset([j]) for j in range(k)]
    chosen += sorted(weight, key=lambda p: (-abs(weight[p]), sorted(p)))[:most]
    signs = np.where(design.shown, 1.0, -1.0)
    basis = np.stack([signs[:, sorted(p)].prod(axis=1) for p in chosen], axis=1)
    fitted = constrained(basis, y - other, design.weights, np.ones(len(chosen)), ends[0] - ends[1])
    found = np.zeros(k)
    for players, value in zip(chosen, fitted, strict=True):
        found[sorted(players)] += value / len(players)
    return found
