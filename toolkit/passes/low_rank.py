"""Low-rank factoring: a kernel becomes the product of two smaller ones, where that saves work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import RecipeError
from toolkit.glossary import Doubles, Facts, Fit, Floats, Stage, Step
from toolkit.models.graph import Rebuilding, flat
from toolkit.models.macs import KERNELS, macs
from toolkit.passes import teachers
from toolkit.passes.base import Pass, countable, positive
from toolkit.passes.tuning import tune, usual_settings

WORTH = 0.9
"""A kernel is factored when the two need at most this share of its multiplications."""


@dataclass(frozen=True, kw_only=True)
class LowRank(Pass):
    """Factor Dense and Conv2D kernels by singular values, then train the factors on.

    energy: the share of the squared singular values that is kept; it chooses each rank. Dense and
    1x1: two in a row. Other convolutions: the same kernel with fewer outputs, then 1x1 (Zhang et
    al. 2015), or a column of the kernel, then a row (Jaderberg et al. 2014), whichever needs less.
    epochs 0 means 10, or 20 below 5,000 rows.
    """

    stage: ClassVar[Stage] = "keras"
    energy: float = 0.8
    epochs: int = 0
    rate: float = 5e-4
    teacher: str = "base"

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        positive(self.name, rate=self.rate)
        if not 0 < self.energy <= 1:
            raise RecipeError(
                f"{self.name} has energy {self.energy}", "above 0, at most 1", "0.8 is usual"
            )
        countable(self.name, self.epochs)
        teachers.checked(self.name, self.teacher)

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:
        """Give the trained factors; facts hold the rank and the kept energy of each layer.

        skipped: layers that stay whole, and why. Where all stay whole nothing is trained.
        """
        made, layers, skipped = factored(model, self.energy)
        facts: Facts = {
            # alone, a nested model may not know how large its pictures are
            "macs": [macs(flat(model)), macs(made)],
            "parameters": [int(model.count_params()), int(made.count_params())],
            "layers": layers,
            "skipped": skipped,
        }
        if not layers:
            return Step(made, facts)
        teacher, about = teachers.teacher_of(self.teacher, model, fit, seed=seed)
        settings = usual_settings(self.epochs, len(fit.train), many=10, few=20, rate=self.rate)
        tuned, history = tune(
            made, fit, settings, teacher=teacher, subject="low-rank factors", seed=seed
        )
        series = {k: list(v) for k, v in history.series.items()}
        return Step(tuned, {**about, **facts, "history": series, "training": history.facts})


@dataclass(frozen=True, eq=False)
class Factors:
    """Two kernels f32 in the place of one.

    way: "units" (Dense), "channels" or "places" (Conv2D). energy: what was kept, 0 to 1. share:
    of the multiplications that are needed now.
    """

    way: str
    first: Floats
    second: Floats
    rank: int
    energy: float
    share: float


def factored(model: Any, energy: float) -> tuple[Any, dict[str, Facts], dict[str, str]]:
    """The model with factors for kernels, facts about each, and layer -> why it stays whole."""
    building = Rebuilding()
    layers: dict[str, Facts] = {}
    skipped: dict[str, str] = {}
    found: dict[int, Factors | None] = {}

    def call(node: Any, args: Any, kwargs: Any) -> Any:
        layer, kind = node.operation, type(node.operation).__name__
        if kind not in KERNELS:
            if any(len(w.shape) > 1 for w in getattr(layer, "weights", ())):
                skipped[layer.name] = f"{kind} is not factored"
            return building.again(node, args, kwargs)
        if id(layer) not in found:
            why, best = _best(layer, node, energy)
            found[id(layer)] = best
            # the name it has in the new model, where nested models may have had it twice
            if best is None:
                building.layer(layer)
                skipped[building.made[id(layer)].name] = why
            else:
                last = _pair(building, layer, best)[1]
                layers[last.name] = {
                    "way": best.way,
                    "rank": best.rank,
                    "energy": round(best.energy, 6),
                    "macs": round(best.share, 6),
                }
        factors = found[id(layer)]
        if factors is None:
            return building.again(node, args, kwargs)
        first, second = _pair(building, layer, factors)
        return second(first(*args))

    return building.model(model, call), layers, skipped


def _best(layer: Any, node: Any, energy: float) -> tuple[str, Factors | None]:
    """Why the layer stays whole, or its factors with the least work."""
    kind = type(layer).__name__
    if kind not in ("Dense", "Conv2D"):
        return f"{kind} has no factors", None
    if getattr(layer, "groups", 1) != 1 or getattr(layer, "data_format", "") == "channels_first":
        return "it convolves in groups, or its channels come first", None
    kernel = layer.kernel.numpy()
    wide = node.outputs[0].shape[2] or 1 if kernel.ndim == 4 else 1
    before = node.input_tensors[0].shape[2] or 1 if kernel.ndim == 4 else 1
    every = [split(kernel, way, energy, before / wide) for way in _ways(kernel)]
    best = min(every, key=lambda f: f.share)
    if best.share > WORTH:
        return f"rank {best.rank} needs {best.share:.2f} of its multiplications", None
    return "", best


def _ways(kernel: Floats) -> tuple[str, ...]:
    if kernel.ndim == 2:
        return ("units",)
    return ("channels", "places") if min(kernel.shape[:2]) > 1 else ("channels",)


def split(kernel: Floats, way: str, energy: float, wider: float = 1.0) -> Factors:
    """Two kernels whose product is `kernel` but for the singular values that are left out.

    kernel: f32 (in, out) or (h, w, in, out). wider: columns of the input for each of the output.
    At every rank the squared error is the sum of the squares left out (Eckart and Young 1936).

    >>> split(np.outer([1.0, 2.0], [3.0, 4.0, 5.0]), "units", 1.0).rank
    1
    """
    shape = kernel.shape
    if way == "places":
        high, wide, inputs, outputs = shape
        matrix = kernel.transpose(0, 2, 1, 3).reshape(high * inputs, wide * outputs)
    else:
        matrix = kernel.reshape(-1, shape[-1])
    left, values, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    rank, kept = rank_of(values, energy)
    # each factor gets the root of the values, so that both train alike
    root = np.sqrt(values[:rank])
    first = (left[:, :rank] * root).astype(np.float32)
    second = (root[:, None] * right[:rank]).astype(np.float32)
    if way == "places":
        first = first.reshape(high, 1, inputs, rank)
        second = second.reshape(rank, wide, outputs).transpose(1, 0, 2)[None]
        work = first.size * wider + second.size
    else:
        first = first.reshape(*shape[:-1], rank)
        second = second.reshape(*(1,) * (kernel.ndim - 2), rank, shape[-1])
        work = first.size + second.size
    return Factors(way, first, second, rank, kept, work / math.prod(shape))


def rank_of(values: Doubles, energy: float) -> tuple[int, float]:
    """The least rank that keeps `energy`, at least 1, and what it keeps.

    values: f64 (r,), singular values, the largest first.

    >>> rank_of(np.array([3.0, 2.0, 1.0]), 0.9)
    (2, 0.9285714285714286)
    """
    squares = np.cumsum(values**2)
    if not squares[-1] > 0:
        return 1, 1.0
    # float32 kernels carry no more than this
    shares = squares / squares[-1] + (1e-12 if energy == 1 else 0)
    rank = int(np.searchsorted(shares, energy)) + 1
    return min(rank, len(values)), float(min(shares[min(rank, len(values)) - 1], 1.0))


def _pair(building: Rebuilding, layer: Any, factors: Factors) -> tuple[Any, Any]:
    """The two layers: the first without bias and activation, the second in the old one's name."""
    config = layer.get_config()
    plain = {"use_bias": False, "activation": "linear", "bias_regularizer": None}
    ahead: Facts = {"filters": factors.rank}
    behind: Facts = {}
    if factors.way == "units":
        ahead = {"units": factors.rank}
    elif factors.way == "channels":
        behind = {"kernel_size": 1, "strides": 1, "dilation_rate": 1, "padding": "valid"}
    else:
        high, wide = layer.kernel_size
        down, across = layer.strides
        tall, broad = layer.dilation_rate
        ahead |= {"kernel_size": (high, 1), "strides": (down, 1), "dilation_rate": (tall, 1)}
        behind = {"kernel_size": (1, wide), "strides": (1, across), "dilation_rate": (1, broad)}
    make = type(layer).from_config
    first = building.fresh(
        (id(layer), "first"),
        f"{layer.name}_basis",
        lambda name: make({**config, **plain, **ahead, "name": name}),
        [factors.first],
    )
    bias = [layer.bias.numpy()] if layer.use_bias else []
    second = building.layer(layer, [factors.second, *bias], **behind)
    return first, second
