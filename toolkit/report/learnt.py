"""What the layers learnt: first and last weights as pictures, and the answers to one row."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from toolkit.glossary import Layer
from toolkit.report import pictures
from toolkit.report.strings import say
from toolkit.report.templates import rendered
from toolkit.run import Run

Part = tuple[str, str, Markup] | None

_UNITS, _MAPS, _CELLS, _INPUTS = 24, 16, 256, 64


def learnt(run: Run) -> Part:
    """Weights of the first and last layer, and what each layer answers to one row."""
    if not run.layers:
        return None
    weights = [(one, _weights(one)) for one in run.layers if one.role == "weights" and _seen(one)]
    answers = [(one, _activation(one)) for one in run.layers if one.role == "activation"]
    return (
        "layers",
        say("What the layers learnt"),
        rendered("layers.html", weights=weights, answers=answers),
    )


def _seen(layer: Layer) -> bool:
    """Whether its weights tell a person anything: a picture, or few inputs to a unit."""
    return layer.image is not None or layer.values.ndim == 4 or layer.values.shape[0] <= _INPUTS


def _weights(layer: Layer) -> list[tuple[str, Markup]]:
    """Each unit of a layer as a small picture: its inputs as an image where they are one."""
    values = layer.values
    most = float(np.abs(values).max())
    found = []
    for unit in range(min(values.shape[-1], _UNITS)):
        one = values[..., unit]
        if layer.image is not None:
            one = one.reshape(layer.image).mean(axis=2)
        elif one.ndim == 3:
            one = one.mean(axis=2)
        else:
            one = one.reshape(1, -1)
        shown = pictures.diverging(one.astype(np.float64), most)
        label = say("{layer}, unit {n}", layer=layer.name, n=unit + 1)
        width, height = (64, None) if one.shape[0] > 1 else (min(10 * one.shape[1], 320), 16)
        found.append((str(unit + 1), pictures.image(shown, label, width, height)))
    return found


def _activation(layer: Layer) -> Markup:
    """One layer's answer: maps side by side for a convolution, a strip of cells otherwise."""
    values = layer.values.astype(np.float64)
    most = float(np.abs(values).max())
    label = say("{layer}, answers", layer=layer.name)
    if values.ndim == 3:
        # ONNX keeps channels first
        maps = [np.pad(channel, 1) for channel in values[:_MAPS]]
        grid = np.concatenate(maps, axis=1)
        return pictures.image(pictures.diverging(grid, most), label, min(58 * len(maps), 928))
    strip = values.reshape(1, -1)[:, :_CELLS]
    shown = pictures.diverging(strip, most)
    return pictures.image(shown, label, min(22 * strip.shape[1], 928), 22)
