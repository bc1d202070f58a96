"""The table of candidates and the JSON of a Run, as the terminal shows them."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from toolkit.cli.screen import table
from toolkit.run import Run


def candidates(run: Run) -> str:
    """The measured subjects beside the base in 80 columns; * marks the chosen one."""
    head: tuple[str, ...] = (
        "",
        "bytes",
        "zipped",
        "accuracy",
        "points lost (95 %)",
        "agree",
        "p50",
        "x base",
    )
    # only where reasons were a limit: the line is full
    reasons = any(m.name == "reason_place shapley" for m in run.measurements)
    head = (*head, "reasons") if reasons else head
    rows: list[tuple[str, ...]] = []
    for name in run.subjects():
        if run.measured(name, "bytes") is None:
            continue
        rows.append(
            (
                name + (" *" if name == run.chosen else ""),
                _cell(run, name, "bytes", "{:,.0f}"),
                _cell(run, name, "zipped", "{:,.0f}"),
                _cell(run, name, "accuracy", "{:.1f} %"),
                _cell(run, name, "accuracy_drop", "{:.1f}", " ({:.1f} to {:.1f})"),
                _cell(run, name, "agreement", "{:.1f} %"),
                _cell(run, name, "latency_p50", "{:,.0f} us"),
                _cell(run, name, "latency_ratio", "{:.2f}"),
                *((_cell(run, name, "reason_place shapley", "{:.2f}"),) if reasons else ()),
            )
        )
    lines = [table(head, rows)]
    exported = [m for m in run.measurements if m.name == "export_difference"]
    if exported:
        # integers beside trained rounding may lie further apart than floats beside Keras
        worst = max(exported, key=lambda m: m.value)
        shown = dict.fromkeys(m for m in (exported[0], worst) if m.value > 0)
        lines.append(
            f"ONNX beside Keras on {worst.n:,} rows: largest difference of a probability "
            + ", ".join(f"{m.value:.1e} ({m.subject})" for m in shown or [worst])
        )
    return "\n".join(lines)


def groups(run: Run, start: str) -> str:
    """Accuracy of each class or slice, a row each; a candidate's with the points it lost."""
    subjects = [s for s in run.subjects() if run.measured(s, "accuracy")]
    head = ("", "rows", *subjects)
    ends = [
        m.name.removeprefix("accuracy ")
        for m in run.measurements
        if m.subject == run.base and m.name.startswith(f"accuracy {start}")
    ]
    rows: list[tuple[str, ...]] = []
    for end in ends:
        cells = []
        for name in subjects:
            lost = _cell(run, name, f"accuracy_drop {end}", " ({:.1f} lost)")
            right = _cell(run, name, f"accuracy {end}", "{:.1f} %")
            cells.append(right + (lost if lost != "-" else ""))
        known = run.measured(run.base, f"accuracy {end}")
        rows.append((end.removeprefix(start), f"{known.n:,}" if known else "-", *cells))
    return table(head, rows)


def devices(run: Run) -> str:
    """What was measured on devices, beside what was measured here."""
    head = ("", "device", "p50", "p50 here", "load", "memory")
    rows: list[tuple[str, ...]] = []
    for m in run.measurements:
        if m.name.startswith("latency_p50 device:"):
            suffix = m.name.removeprefix("latency_p50")
            rows.append(
                (
                    m.subject,
                    suffix.removeprefix(" device:"),
                    f"{m.value:,.0f} us",
                    _cell(run, m.subject, "latency_p50", "{:,.0f} us"),
                    _cell(run, m.subject, f"load{suffix}", "{:,.1f} ms"),
                    _cell(run, m.subject, f"peak_memory{suffix}", "{:,.0f} MB"),
                )
            )
    return table(head, rows)


def plain(run: Run) -> dict[str, Any]:
    """What `--json` prints: every figure and finding; arrays stay in run.json."""
    return {
        "title": run.title,
        "created": run.created,
        "base": run.base,
        "chosen": run.chosen,
        "data": run.data,
        "artifacts": [
            {"name": a.name, "path": str(a.path), "bytes": a.nbytes, "sha256": a.sha256}
            for a in run.artifacts
        ],
        "measurements": [asdict(m) for m in run.measurements],
        "findings": [asdict(f) for f in run.findings],
        "budget": run.budget,
        "versions": run.versions,
        "seeds": run.seeds,
        "hashes": run.hashes,
        "machine": run.machine,
    }


def _cell(run: Run, subject: str, name: str, form: str, ends: str = "") -> str:
    found = run.measured(subject, name)
    if found is None:
        return "-"
    text = form.format(found.value)
    if ends and found.low is not None and found.high is not None:
        text += ends.format(found.low, found.high)
    return re.sub(r"-(?=0\.0+\b)", "", text)  # a rounded zero has no sign


def explained(run: Run) -> str:
    """How alike the reasons are on their scale, what drifted, and what carries over, by method."""
    lines = [f"decisions explained: {len(run.decisions)}"]
    for method in dict.fromkeys(a.method for a in run.attributions):
        loose = sum(1 for a in run.attributions if a.method == method and not a.converged)
        for name in run.subjects():
            alike = run.measured(name, f"reason_cosine {method}")
            if alike is None:
                continue
            lines.append(f"{method}: {name} beside {run.base} over {alike.n} rows")
            for text, figure, scale in _LINES:
                found = run.measured(name, f"{figure} {method}")
                if found is not None:
                    told = text.format(f"{scale * found.value:.3f}")
                    if found.low is not None and found.high is not None:
                        low, high = scale * found.low, scale * found.high
                        told += f" (95 %: {low:.3f} to {high:.3f})"
                    lines.append(f"  {told}{_ends(run, figure, method)}")
        if loose:
            lines.append(f"{method}: {loose} attributions have not converged")
    return "\n".join(lines)


_LINES = (
    ("agreement of reasons, 0 random, 1 the base beside itself: {}", "reason_place", 1),
    ("cosine of reasons {}", "reason_cosine", 1),
    ("same answer for other reasons in {} % of rows", "reason_drift", 100),
    ("the base's ranking keeps {} of what its own gains", "reason_transfer", 1),
)


def _ends(run: Run, figure: str, method: str) -> str:
    """The ends of the scale of cosines, behind the cosine."""
    if figure != "reason_cosine":
        return ""
    names = (("random", "null"), ("noise", "floor"), ("trained anew", "ceiling"))
    ends = [(text, run.measured(run.base, f"reason_{name} {method}")) for text, name in names]
    return "".join(f", {text} {m.value:.3f}" for text, m in ends if m is not None)
