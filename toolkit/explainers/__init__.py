"""The explainers, by the name that `--method` takes.

To add one: a file here with a frozen dataclass of `base.Explainer`, a line in `EXPLAINERS`, and a
test beside the others. The contract test finds it by itself.
"""

from __future__ import annotations

from toolkit.explainers.base import Explainer
from toolkit.explainers.gradients import Expected, Integrated
from toolkit.explainers.lime import Lime
from toolkit.explainers.players import Players, players_for
from toolkit.explainers.shapley import Shapley
from toolkit.explainers.shaps import Deep, Kernel, Partition, Permutation

__all__ = ["EXPLAINERS", "Explainer", "Players", "players_for"]

EXPLAINERS: dict[str, type[Explainer]] = {
    "deep": Deep,
    "expected": Expected,
    "integrated": Integrated,
    "kernel": Kernel,
    "lime": Lime,
    "partition": Partition,
    "permutation": Permutation,
    "shapley": Shapley,
}
