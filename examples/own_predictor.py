"""Explain any function of rows: a Predictor is a callable with a name, classes and a shape."""

import numpy as np

import toolkit
from toolkit.explainers import EXPLAINERS

splits = toolkit.load("breast_cancer")


class Rule:
    """Malignant when the worst radius is large: a rule of thumb, no net at all."""

    name, classes, shape = "rule", 2, (30,)

    def __call__(self, x):
        worst = x[:, list(splits.test.features).index("worst radius")]
        benign = 1 / (1 + np.exp((worst - 17) / 1.5))
        return np.stack([1 - benign, benign], axis=1).astype(np.float32)


(found,) = toolkit.explain(
    [Rule()], EXPLAINERS["shapley"](), splits.test, [0], background=splits.fit.train
)
order = np.argsort(-np.abs(found.values))
for i in order[:3]:
    print(f"{splits.test.features[i]:20} {found.values[i]:+.3f} +- {found.stderr[i]:.3f}")
assert splits.test.features[order[0]] == "worst radius"
