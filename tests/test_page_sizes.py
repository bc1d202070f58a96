"""Pages of large jobs, from made-up attributions, stay within their bytes."""

import numpy as np
import pytest

from tests.test_report_sections import DATA, MACHINE
from toolkit import report
from toolkit.glossary import Attribution, Decision
from toolkit.run import Run


@pytest.mark.parametrize(
    ("kind", "rows", "players", "side", "most"),
    [
        ("tabular", 1000, 14, 0, 5_000_000),
        ("image", 20, 49, 32, 1_000_000),
        ("image", 20, 49, 224, 1_000_000),
    ],
)
def test_large_jobs_stay_small_pages(kind, rows, players, side, most):
    """Two models and their difference, two methods; pictures of noise, which no PNG makes small."""
    rng = np.random.default_rng(0)
    names = tuple(f"feature number {i}" for i in range(players))
    cells = np.arange(side) * 7 // max(side, 1)
    segments = cells[:, None] * 7 + cells[None, :]
    pictured = kind == "image"
    shape = (side, side, 3) if pictured else (players,)
    made = {
        (method, subject, row): Attribution(
            method, subject, row, v := rng.normal(size=players), 0.1 * v, 0.5, 0.6, 1, 9, 0, True
        )
        for method in ("shapley", "lime")
        for subject in ("base", "int8", "base - int8")
        for row in range(rows)
    }
    run = Run(
        "t",
        "now",
        "explain",
        "base",
        "int8",
        {**DATA, "kind": kind, "features": [] if pictured else list(names)},
        decisions=tuple(
            Decision(
                row,
                rng.random(shape).astype(np.float32),
                row % 2,
                names,
                segments if pictured else None,
                {"base": np.float32([0.4, 0.6]), "int8": np.float32([0.3, 0.7])},
            )
            for row in range(rows)
        ),
        attributions=tuple(made.values()),
        machine=MACHINE,
    )
    for page in ("explanation", "reasons"):
        assert len(report.render(run, page).encode()) < most
    text = report.render(run, "explanation")
    assert ("hold the attributions of 200 of 1000 rows" in text) == (not pictured)
