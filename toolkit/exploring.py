"""Many recipes within a time: what is learnt from each says which to try next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from toolkit import metrics
from toolkit.choice import Budget
from toolkit.errors import RecipeError
from toolkit.glossary import Facts
from toolkit.jobs import crew
from toolkit.making import Made
from toolkit.mixing import Bench, timed
from toolkit.pareto import unbeaten
from toolkit.predict import OnnxPredictor
from toolkit.progress import tell
from toolkit.recipe import Recipe
from toolkit.surrogate import Trial, expected_seconds, ranked

NEAR = 1.05
"""Times beside the base count in steps of so much: nearer ones cannot be told apart for sure."""

ROUNDS = 15
REACH = 5.0
"""Points of accuracy from which on a candidate is of no use, where no limit is given."""


@dataclass(frozen=True, eq=False)
class Explored:
    """What was made, in the order tried; what it cost; how many recipes there were to try.

    ratios: the time of each candidate beside the base's.
    """

    made: tuple[Made, ...]
    trials: tuple[Trial, ...]
    recipes: int
    seconds: float
    ratios: Mapping[str, float] = field(default_factory=dict)

    def frontier(self) -> list[Made]:
        """The candidates that no other beats in bytes, in accuracy on validation rows and in time.

        Times count in steps of `NEAR`. Those that could not be made are among them, so that it is
        said.
        """
        whole = [one for one in self.made if one.error is None]
        times = [np.log(self.ratios.get(t.recipe.name, 1.0)) // np.log(NEAR) for t in self.trials]
        points = np.array([[t.nbytes, t.drop, s] for t, s in zip(self.trials, times, strict=True)])
        best = {whole[i].recipe.name for i in unbeaten(points)} if whole else set()
        return [one for one in self.made if one.error is not None or one.recipe.name in best]


def explore(recipes: Sequence[Recipe], bench: Bench, budget: Budget) -> Explored:
    """Try recipes until `budget.seconds` are used up, those first of which most is expected.

    The first is the first named; then what each came to, in bytes and in accuracy on validation
    rows, says which to try next, for its time. Time is what making took when it was made, so that
    a search that was killed, or is run again, goes the same way. A recipe is begun only where it
    should end in time; what is begun is finished.
    """
    allowed = budget.seconds or 0.0
    rows = bench.source.fit.validation
    base = OnnxPredictor(bench.source.base.content, "base")(rows.x)
    worst = (float(budget.max_bytes or len(bench.source.base.content)), budget.max_drop or REACH)
    made: list[Made] = []
    trials: list[Trial] = []
    rest, spent = list(recipes), 0.0
    while rest and spent < allowed:
        tell("search, seconds", round(spent), round(allowed))
        order = ranked(trials, rest, worst, hurried=True, seed=bench.source.seed)
        if trials:
            took = dict(zip((r.name for r in rest), expected_seconds(trials, rest), strict=True))
            order = [r for r in order if spent + took[r.name] <= allowed]
        batch = order[: crew().width]
        if not batch:
            break
        came = bench.made(batch)
        spent += max(one.seconds for one in came)
        made += came
        for one in came:
            if one.error is None:
                answers = bench.answers(one.content, one.recipe.name, rows.x)
                drop = 100 * metrics.accuracy_drop(base, answers, rows.y).value
                trials.append(Trial(one.recipe, len(one.content), drop, one.seconds))
        rest = [r for r in rest if r not in batch]
    tell("search, seconds", round(allowed), round(allowed))
    came = [one for one in made if one.error is None]
    ratios = {n: value for n, (value, _, _) in timed(came, bench, rounds=ROUNDS).items()}
    return Explored(tuple(made), tuple(trials), len(recipes), spent, ratios)


def told(found: Explored, made: Sequence[Made]) -> Facts:
    """How much was tried, and what of it is not among `made`, since others beat it; for the Run."""
    kept = {one.recipe.name for one in made}
    beaten = [one.recipe.name for one in found.made if one.recipe.name not in kept]
    more = f"; beaten by others: {', '.join(beaten)}" if beaten else ""
    tried = f"{len(found.made)} of {found.recipes} recipes in {found.seconds:.0f} s"
    return {"tried": tried + more}


_UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str) -> float | None:
    """The seconds that a text such as 90s, 10m or 1.5h says; None of none.

    Raises RecipeError for anything else.

    >>> seconds_of("10m"), seconds_of("1.5h")
    (600.0, 5400.0)
    """
    if not text:
        return None
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.replace(".", "", 1).isdecimal() or not float(number):
        raise RecipeError(f"budget '{text}'", "a time such as 90s, 10m or 1h", "correct it")
    return float(number) * _UNITS[unit]
