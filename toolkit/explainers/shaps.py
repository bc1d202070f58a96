"""shap's own explainers by name, over our players: whole batches, seeds that hold, nothing zeroed.

shap sees a game of p players that are there (1) or hidden (0), so that all of its ways of asking
come to the same rows of the model as ours do.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import RecipeError
from toolkit.explainers.base import Estimate, Explainer, derived
from toolkit.explainers.players import Players, among
from toolkit.glossary import Differentiable, Doubles, Predictor
from toolkit.seeding import in_one_order, seeded_numpy

Game = Callable[[Any], Doubles]


@dataclass(frozen=True, kw_only=True)
class Shap(Explainer):
    """What kernel, permutation and partition share.

    samples: coalitions in all, each asked with every background row; a method that needs more for
    so many players asks for what it needs. repeats: independent runs, whose spread gives the
    standard error; shap's own `error_std` is none.
    """

    repeats: int = 4

    def __post_init__(self) -> None:
        """Refuse settings with which nothing can be estimated."""
        super().__post_init__()
        if self.repeats < 2:
            raise RecipeError(f"{self.method} with {self.repeats} repeats", "2 or more", "")

    @abstractmethod
    def once(self, game: Game, p: int, players: Players, samples: int, seed: int) -> Doubles:
        """One run of shap's, f64 (p,); numpy's global generator is seeded with `seed` for it.

        p: how many of the `players` play.
        """

    def playing(self, players: Players) -> NDArray[np.bool_]:
        """Which players shap is told of, bool (players,); the others have 0 exactly."""
        return players.differing()

    def all_of(self, p: int) -> int:
        """How many coalitions leave nothing to chance."""
        return int(2 ** min(p, 62))

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Run once where no chance is left, else `repeats` times with seeds of their own."""
        plays = self.playing(players)
        p, asked = int(plays.sum()), 0

        def game(z: Any) -> Doubles:
            nonlocal asked
            asked += len(z)
            return players.value(predict, among(plays, np.asarray(z)) > 0, target)

        ends = game(np.stack([np.zeros(p), np.ones(p)]))
        if p < 2:
            # with a single player there is no one to share with, which shap does not know
            return Estimate(among(plays, np.diff(ends)[None, :p]), float(ends[0]), {"exact": True})
        exact = self.all_of(p) <= self.samples
        runs, values = (1 if exact else self.repeats), []
        for number in range(runs):
            own = derived(seed, number)
            with seeded_numpy(own), in_one_order():
                values.append(self.once(game, p, players, self.samples // runs, own))
        facts = {"exact": exact, "players": len(players), "samples": asked}
        return Estimate(among(plays, np.stack(values)), float(ends[0]), facts)


@dataclass(frozen=True, kw_only=True)
class Kernel(Shap):
    """KernelExplainer (Lundberg and Lee 2017), with every player kept: `l1_reg` is off."""

    method: ClassVar[str] = "kernel"

    def once(self, game: Game, p: int, players: Players, samples: int, seed: int) -> Doubles:  # noqa: ARG002
        """A weighted regression on coalitions; of fewer than four a player it would be singular."""
        import shap

        explainer = shap.KernelExplainer(game, np.zeros((1, p)))
        found = explainer.shap_values(
            np.ones(p), nsamples=max(samples, 4 * p), l1_reg=False, silent=True
        )
        return np.asarray(found, np.float64)


@dataclass(frozen=True, kw_only=True)
class Permutation(Shap):
    """PermutationExplainer: orders of arrival, forwards and backwards, never all of them."""

    method: ClassVar[str] = "permutation"

    def all_of(self, p: int) -> int:  # noqa: ARG002  # it does not know when it has met them all
        """More than can be asked."""
        return 2**62

    def once(self, game: Game, p: int, players: Players, samples: int, seed: int) -> Doubles:  # noqa: ARG002
        """As many orders as fit into the samples, one at least."""
        import shap

        # without a seed of its own it would seed numpy's global generator from the clock
        explainer = shap.explainers.Permutation(game, np.zeros((1, p)), seed=seed)
        most = max(samples, 2 * p + 1)
        found = explainer(np.ones((1, p)), max_evals=most, batch_size=most, silent=True)
        return np.asarray(found.values[0], np.float64)


@dataclass(frozen=True, kw_only=True)
class Partition(Shap):
    """PartitionExplainer: Owen values of a tree of players, which no chance decides.

    The tree joins columns that go together in the background, patches that lie together, words that
    follow each other. `exact` in the facts says whether the samples went to its leaves.
    """

    method: ClassVar[str] = "partition"

    def all_of(self, p: int) -> int:  # noqa: ARG002  # fewer than all only stop at larger parts
        """One run says all it can."""
        return 0

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """One run; it is exact where it stopped by itself."""
        found = super().estimate(predict, players, target, seed)
        ended = len(players) == 1 or found.facts["samples"] - 2 < self.samples
        return Estimate(found.values, found.base, {**found.facts, "exact": ended})

    def playing(self, players: Players) -> NDArray[np.bool_]:
        """All: the tree is of all players."""
        return np.ones(len(players), np.bool_)

    def once(self, game: Game, p: int, players: Players, samples: int, seed: int) -> Doubles:  # noqa: ARG002
        """Owen values as far down the tree as the samples go."""
        import shap

        masker = shap.maskers.Partition(np.zeros((1, p)), clustering=_tree(players))
        explainer = shap.explainers.Partition(game, masker)
        found = explainer(np.ones((1, p)), max_evals=samples, batch_size=1024, silent=True)
        return np.asarray(found.values[0], np.float64)


@dataclass(frozen=True, kw_only=True)
class Deep(Explainer):
    """DeepExplainer (Shrikumar et al. 2017): contributions passed back through a Keras net.

    No chance decides; layers for which shap is not right are refused by name. Facts: `gap`, how far
    the values are from summing to the prediction less the base.
    """

    method: ClassVar[str] = "deep"
    needs: ClassVar[str] = "contributions"

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:  # noqa: ARG002
        """Contributions of values beside the background, summed to players."""
        starts, said = players.rows()
        ends = predict(np.concatenate([players.x[None], starts])).astype(np.float64)[:, target]
        model = cast("Differentiable", predict)
        by_value = model.contributions(players.x, starts, target).reshape(-1)
        values = players.summed(by_value)
        base = float(ends[1:].mean())
        facts = {
            "gap": abs(float(values.sum()) - (float(ends[0]) - base)),
            "samples": 2 * len(starts),
            "hidden": said,
        }
        return Estimate(values[None], base, facts)


def _tree(players: Players) -> Doubles:
    """How players are joined, as scipy's linkage tells it."""
    from scipy.cluster.hierarchy import linkage

    p, groups = len(players), players.groups.reshape(-1)
    if players.columns:
        # columns that rise and fall together are near; those that never change are far from all
        x = players.background.astype(np.float64)
        x = x - x.mean(axis=0)
        size = np.linalg.norm(x, axis=0)
        alike = np.abs(x.T @ x) / np.maximum(np.outer(size, size), 1e-300)
        apart = 1 - np.minimum(alike, 1)
        return np.asarray(linkage(apart[np.triu_indices(p, 1)], "complete"), np.float64)
    grid = np.indices(players.groups.shape).reshape(players.groups.ndim, -1)
    many = np.bincount(groups, minlength=p)
    centres = np.stack([np.bincount(groups, at, p) / many for at in grid], axis=1)
    return np.asarray(linkage(centres, "complete"), np.float64)
