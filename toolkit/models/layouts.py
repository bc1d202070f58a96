"""Weights in an HDF5 file as older Keras laid them out -> as the layers of Keras 3 hold them.

Keras 1 kept a matrix for each gate, and kernels of channels_first turned; Theano convolves with
kernels that lie the other way round; layers for cuDNN keep matrices transposed and biases twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.models.graph import settle

Values = list[NDArray[Any]]

MOST_BYTES = 8 * 2**30
"""Of the weights of a layer; a few bytes can declare any number of zeros."""


@dataclass(frozen=True)
class _Era:
    """Which Keras laid the weights out, and on what."""

    keras1: bool
    theano: bool


def load(stored: Any, model: Any) -> None:
    """Give the model the weights of an open HDF5 group with `layer_names`, layer by layer.

    Raises ValueError where they are not those of the model.
    """
    from keras.src.legacy.saving import legacy_h5_format as legacy

    version = _told(stored, "keras_version", "1")
    era = _Era(version.startswith("1"), _told(stored, "backend", "") == "theano")
    names = legacy.load_attributes_from_hdf5_group(stored, "layer_names")
    groups = [(name, _values(held(stored, name))) for name in names]
    groups = [(name, values) for name, values in groups if values]
    layers = [layer for layer in model.layers if layer.weights]
    if len(groups) != len(layers):
        raise ValueError(f"{len(groups)} layers have weights there, {len(layers)} in the model")
    for layer, (name, values) in zip(layers, groups, strict=True):
        places = legacy._legacy_weights(layer)
        found = fitting(layer, values, era)
        if len(found) != len(places):
            raise ValueError(f"layer {name} has {len(found)} weights there, {len(places)} here")
        legacy._set_weights(layer, places, found, f"layer {name} ")
    settle(model)


def fitting(layer: Any, values: Values, era: _Era) -> Values:
    """The weights of one layer, or of the layers in it, as Keras 3 lays them out."""
    kind = type(layer).__name__
    if kind == "Bidirectional":
        half = len(values) // 2
        ahead = fitting(layer.forward_layer, values[:half], era)
        return ahead + fitting(layer.backward_layer, values[half:], era)
    if kind == "TimeDistributed":
        return fitting(layer.layer, values, era)
    if getattr(layer, "layers", None):
        return _inside(layer, values, era)
    mend = _MENDS.get(kind)
    return mend(layer, values, era) if mend else values


def _inside(model: Any, values: Values, era: _Era) -> Values:
    """The weights of a model in the model: first all that learn, then all that do not."""
    learning = len(model.trainable_weights)
    parts = {True: values[:learning], False: values[learning:]}
    fresh: dict[bool, Values] = {True: [], False: []}
    for layer in model.layers:
        split = len(layer.trainable_weights)
        if not layer.weights:
            continue
        taken = []
        for learns, count in ((True, split), (False, len(layer.non_trainable_weights))):
            taken += parts[learns][:count]
            parts[learns] = parts[learns][count:]
        made = fitting(layer, taken, era)
        fresh[True] += made[:split]
        fresh[False] += made[split:]
    return fresh[True] + fresh[False]


def _convolution(layer: Any, values: Values, era: _Era) -> Values:
    kernel, *rest = values
    places = len(layer.kernel_size)
    first = layer.data_format == "channels_first"
    wanted = tuple(layer.kernel.shape)
    if era.keras1 and places == 1 and kernel.ndim == 4:
        if kernel.shape != (*wanted[:1], 1, *wanted[1:]):
            kernel = kernel.transpose(2, 3, 1, 0)
        kernel = kernel[:, 0]
    elif era.keras1 and first and places == kernel.ndim - 2:
        # Keras 1: (out, in, rows, columns); of a transposed one (in, out, ...) is wanted
        ends = (0, 1) if type(layer).__name__ == "Conv2DTranspose" else (1, 0)
        kernel = kernel.transpose(*range(2, kernel.ndim), *ends)
    elif kernel.shape != wanted and kernel.ndim == 4:
        kernel = kernel.transpose(2, 3, 1, 0)  # (out, in, rows, columns) as well
    if era.theano:
        kernel = kernel[tuple(slice(None, None, -1) for _ in range(places))]
    return [np.ascontiguousarray(kernel), *rest]


def _lstm(layer: Any, values: Values, era: _Era) -> Values:
    units = layer.units
    if era.keras1 and len(values) == 12:
        # a matrix, a recurrent one and a bias for each of i, c, f, o
        order = (0, 6, 3, 9)
        return [np.concatenate([values[i + part] for i in order], axis=-1) for part in range(3)]
    if len(values) == 3 and values[2].shape == (8 * units,):
        kernel, recurrent, bias = values
        return [_untransposed(kernel, 4), _turned(recurrent, 4), bias.reshape(2, -1).sum(axis=0)]
    return values


def _gru(layer: Any, values: Values, era: _Era) -> Values:
    units = layer.units
    if era.keras1 and len(values) == 9:
        return [np.concatenate([values[i + part] for i in (0, 3, 6)], -1) for part in range(3)]
    if len(values) == 3 and values[2].shape == (6 * units,):
        kernel, recurrent, bias = values
        return [_untransposed(kernel, 3), _turned(recurrent, 3), bias.reshape(2, -1)]
    return values


def _untransposed(kernel: NDArray[Any], gates: int) -> NDArray[Any]:
    """Each gate's (inputs, units), whose numbers lie in memory as (units, inputs)."""
    parts = np.split(kernel, gates, axis=1)
    return np.concatenate([part.reshape(part.shape[::-1]).T for part in parts], axis=1)


def _turned(kernel: NDArray[Any], gates: int) -> NDArray[Any]:
    return np.concatenate([part.T for part in np.split(kernel, gates, axis=1)], axis=1)


_MENDS: dict[str, Callable[[Any, Values, _Era], Values]] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose"), _convolution),
    "LSTM": _lstm,
    "GRU": _gru,
}


def _values(group: Any) -> Values:
    from keras.src.legacy.saving import legacy_h5_format as legacy

    names = legacy.load_attributes_from_hdf5_group(group, "weight_names")
    return [np.asarray(held(group, name)) for name in names]


def held(group: Any, path: str) -> Any:
    """What lies at `path` below an HDF5 group, in this very file.

    Raises ValueError for a link to another file and values kept in one: a model file must not
    carry off what else lies on the machine. So for values beyond `MOST_BYTES`.
    """
    import h5py

    found = group
    for name in path.strip("/").split("/"):
        if isinstance(found.get(name, getlink=True), h5py.ExternalLink):
            raise ValueError(f"{path} is a link to another file")
        found = found[name]
    if found.file.filename != group.file.filename:
        raise ValueError(f"{path} lies in another file")
    if isinstance(found, h5py.Dataset):
        if found.external or found.is_virtual:
            raise ValueError(f"{path} keeps its values in another file")
        if found.nbytes > MOST_BYTES:
            raise ValueError(f"{path} says that it has {found.nbytes:,} bytes")
    return found


def _told(stored: Any, name: str, default: str) -> str:
    """What the group, or the file around it, says of who wrote it."""
    value = stored.attrs.get(name, stored.file.attrs.get(name, default))
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
