"""Are reasons any good? Figures of their quality, each by the paper that defined it.

To add one: a file here with its definition and what it makes of attributions, a line in
`FIGURES`, and a test of the definition on a case worked by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from toolkit.errors import RecipeError, near
from toolkit.explainers import Explainer, Players
from toolkit.explainers.named import distinct
from toolkit.faithfulness import faithfulness
from toolkit.glossary import Attribution, Measurement, Predictor
from toolkit.quality.agreement import agreements
from toolkit.quality.complexity import complexities
from toolkit.quality.infidelity import infidelities
from toolkit.quality.randomisation import randomisations
from toolkit.quality.segmentation import segmentations
from toolkit.quality.sensitivity import sensitivities
from toolkit.quality.surrogates import surrogates

__all__ = ["CHEAP", "FIGURES", "chosen", "quality"]

_Judge = Callable[
    [Predictor, Sequence[Explainer], Sequence[Attribution], dict[int, Players], int],
    tuple[Measurement, ...],
]

FIGURES: dict[str, _Judge] = {
    "curves": lambda predict, _, ours, players, seed: faithfulness(
        predict, ours, players, seed=seed
    ),
    "infidelity": lambda predict, _, ours, players, seed: infidelities(
        predict, ours, players, seed=seed
    ),
    "complexity": lambda _, __, ours, ___, ____: complexities(ours),
    "agreement": lambda _, __, ours, ___, ____: agreements(ours),
    "surrogate": lambda _, __, ours, ___, ____: surrogates(ours),
    "segmentation": lambda predict, ways, ours, players, _: segmentations(
        predict, ways, ours, players
    ),
    "sensitivity": lambda predict, ways, ours, players, seed: sensitivities(
        predict, ways, ours, players, seed=seed
    ),
    "randomisation": lambda predict, ways, ours, players, seed: randomisations(
        predict, ways, ours, players, seed=seed
    ),
}

CHEAP = ("curves", "infidelity", "complexity", "agreement", "surrogate")
"""What asks little beside explaining; the others explain each row again, once or ten times."""


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The names of figures, "all" being every one. Raises RecipeError for one that is not there.

    >>> chosen(["complexity"]), len(chosen(["all"])) == len(FIGURES)
    (('complexity',), True)
    """
    for name in names:
        if name != "all" and name not in FIGURES:
            raise RecipeError(f"unknown figure of quality '{name}'", near(name, [*FIGURES, "all"]))
    return tuple(FIGURES) if "all" in names else tuple(dict.fromkeys(names))


def quality(
    predict: Predictor,
    explainers: Sequence[Explainer],
    attributions: Sequence[Attribution],
    players: dict[int, Players],
    *,
    figures: Sequence[str] = CHEAP,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """Figures of the quality of one model's attributions; each says in its file what it means.

    explainers: those that made the attributions, one of each method. players: those of each row.
    """
    distinct(explainers)
    return tuple(
        measured
        for name in chosen(figures)
        for measured in FIGURES[name](predict, explainers, attributions, players, seed)
    )
