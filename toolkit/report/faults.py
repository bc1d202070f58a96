"""Layer by layer: what rounding does to each, and the one at fault."""

from __future__ import annotations

from markupsafe import Markup

from toolkit.checks.models import MOVED
from toolkit.glossary import LayerError
from toolkit.report import charts
from toolkit.report.quantities import number, plain, share, with_unit
from toolkit.report.strings import say
from toolkit.report.templates import figure, rendered
from toolkit.run import Run

Part = tuple[str, str, Markup] | None

_DRAWN = 16


def layer_errors(run: Run) -> Part:
    """Errors of every layer for each file that has them, the layer at fault named."""
    if not run.layer_errors:
        return None
    found = []
    for subject in dict.fromkeys(e.subject for e in run.layer_errors):
        errors = [e for e in run.layer_errors if e.subject == subject]
        lines = [(e, with_unit(e.nbytes, "B")) for e in errors]
        found.append((subject, _fault(errors), _drawn(subject, errors), lines))
    return (
        "layer-errors",
        say("Layer by layer"),
        rendered("layer_errors.html", found=found),
    )


def _fault(errors: list[LayerError]) -> str:
    """The layer that moves the answers most, and the likeliest reason."""
    worst = max(errors, key=lambda e: e.effect)
    total = sum(e.effect for e in errors)
    if total <= 0:
        return say("Rounding moves no answer in any layer.")
    told = {
        "layer": worst.layer,
        "effect": plain(worst.effect),
        "share": share(worst.effect / total),
    }
    if worst.effect >= MOVED:
        text = say(
            "{layer} is at fault: rounded alone it moves a probability by {effect} on average, "
            "{share} of the sum over layers.",
            **told,
        )
    else:
        text = say(
            "No layer moves much. {layer} moves most: rounded alone a probability by {effect} on "
            "average, {share} of the sum over layers.",
            **told,
        )
    if worst.saturated > 0.01:
        return f"{text} {say('{share} of its values are clipped.', share=share(worst.saturated))}"
    if worst.used < 0.25:
        return f"{text} {say('It uses only {share} of its levels.', share=share(worst.used))}"
    return text


def _drawn(subject: str, errors: list[LayerError]) -> Markup:
    worst = sorted(errors, key=lambda e: -e.effect)[:_DRAWN]
    label = say(
        "{name}: change of a probability by each layer; most by {layer}",
        name=subject,
        layer=worst[0].layer,
    )
    names, effects = [e.layer for e in worst], [e.effect for e in worst]
    # layers of one net begin alike
    drawing = charts.means(names, effects, [(e, e) for e in effects], label, digits=4, tails=True)
    caption = say("Mean change of a probability when one layer alone is rounded.")
    rows = [(e.layer, number(e.effect, 6)) for e in worst]
    return figure(drawing, label, caption, (say("Layer"), say("Change of a probability")), rows)
