"""Smaller nets of the same build: every hidden width scaled, repeated blocks left out."""

from __future__ import annotations

import math
from typing import Any

from toolkit.errors import ModelError
from toolkit.models.graph import Names, flat, nodes_of, settle, walk
from toolkit.models.macs import macs, nbytes
from toolkit.seeding import seeded

STEPS = 64
"""A width under a limit is searched in this many steps of the base's."""

LARGEST = 100_000_000
"""Weights of a net that is made wider than its base: more fill the memory before they train."""

_WIDTHS = ("units", "filters", "output_dim", "key_dim", "value_dim")
_INSIDE = ("layer", "forward_layer", "backward_layer")


def derived(model: Any, *, width: float = 1.0, depth: int = 1, seed: int = 0) -> Any:
    """A new net built as `model` but narrower or shallower.

    width: every hidden width times this; above 16 they are multiples of 8. Inputs and classes stay.
    depth: of each row of blocks that give the shape they take, every depth-th part stays, rounded
    down. Weights are new, but for those that hold what the input is like (Normalization) and for a
    net of the same width with blocks left out, which keeps its own.
    Raises ModelError where there is nothing to scale or leave out, or the pieces no longer fit, and
    for a wider net of more than `LARGEST` weights.

    >>> import keras
    >>> base = keras.Sequential([keras.layers.Input((9,)), keras.layers.Dense(64, "relu"),
    ...                          keras.layers.Dense(3, "softmax")])
    >>> derived(base, width=0.5).count_params()  # 9-32-3
    419
    """
    if not width > 0 or depth < 1:
        raise ModelError(
            f"width {width} and depth {depth}", "width above 0, depth from 1 up", "correct it"
        )
    return _made(flat(model), width, depth, seed)


def within(model: Any, limit: float, unit: str, *, seed: int = 0) -> tuple[Any, float]:
    """The widest net built as `model` whose cost is at most `limit`, and its width from 0 to 1.

    unit: "bytes" of its weights as f32, or "macs". Raises ModelError where none fits.
    """
    cost, whole = {"bytes": nbytes, "macs": macs}[unit], flat(model)
    low, high, found = 1, STEPS, None
    # wider is never cheaper, so halving finds the widest
    while low <= high:
        step = (low + high) // 2
        made = _made(whole, step / STEPS, 1, seed)
        if cost(made) <= limit:
            found, low = (made, step / STEPS), step + 1
        else:
            high = step - 1
    if found is None:
        least = cost(_made(whole, 1 / STEPS, 1, seed))
        raise ModelError(
            f"no net built as {model.name} has at most {limit:,.0f} {unit}",
            f"{least:,} or more",
            "raise the limit, or give a student of another build",
        )
    return found


def scaled(width: int, by: float) -> int:
    """A hidden width times `by`, at least 1; a multiple of 8 where it is above 16.

    >>> [scaled(n, 0.5) for n in (1, 10, 32, 50, 100)]
    [1, 5, 16, 24, 48]
    """
    wanted = width * by
    if by == 1:
        return width
    if wanted <= 16:
        return max(int(wanted + 0.5), 1)
    return 8 * int(wanted / 8 + 0.5)


def _made(whole: Any, width: float, depth: int, seed: int) -> Any:
    derivation = _Derivation(whole, width, depth)
    weights = derivation.weights() if width > 1 else 0.0
    if weights > LARGEST:
        raise ModelError(
            f"{whole.name} {width:g} times as wide has about {weights / 1e6:,.0f} million weights",
            f"at most {LARGEST / 1e6:,.0f} million",
            "take a narrower net",
        )
    with seeded(seed):
        made = derivation.model()
    if made.outputs[0].shape != whole.outputs[0].shape:
        raise _cannot(whole, f"it would give {made.outputs[0].shape[1:]}")
    return made


class _Derivation:
    """One rebuilding of a flat model."""

    def __init__(self, whole: Any, width: float, depth: int) -> None:
        self.whole, self.width = whole, width
        self.nodes = nodes_of(whole)
        self.fixed = _fixed(whole, self.nodes)
        self.wide = _after_width(self.nodes, self.fixed)
        self.dropped = self._dropped(depth) if depth > 1 else set()
        # what is left of a net of the same width knows something already
        self.inherits = depth > 1 and width == 1
        self.made: dict[int, Any] = {}
        self.names = Names()
        hidden = [n for n in self.nodes if _width_of(n) and id(n.operation) not in self.fixed]
        if width != 1 and not hidden:
            raise _cannot(whole, "it has no hidden layer")

    def model(self) -> Any:
        import keras

        inputs = [
            keras.Input(batch_shape=t.shape, dtype=t.dtype, name=self.names.free(t.name))
            for t in self.whole._inputs
        ]
        try:
            outputs = walk(self.whole, inputs, self.call)
            made = keras.Model(inputs[0], outputs, name=self.whole.name)
        except (ValueError, TypeError) as error:  # whatever Keras says of shapes that do not fit
            raise _cannot(self.whole, " ".join(str(error).split())[:160]) from error
        return made

    def weights(self) -> float:
        """About how many weights the new net has, with no block left out.

        Kernels grow with the width they read and with the width they make.
        """
        import keras

        cells = (keras.layers.RNN, keras.layers.Bidirectional)
        found: dict[int, float] = {}
        for node in self.nodes:
            layer = node.operation
            # a recurrent layer reads what it makes
            reads = id(node) in self.wide or isinstance(layer, cells)
            makes = _width_of(node) and id(layer) not in self.fixed
            found[id(layer)] = sum(
                math.prod(w.shape) * self.width ** min(reads + makes, len(w.shape))
                for w in getattr(layer, "weights", ())
            )
        return sum(found.values())

    def _dropped(self, depth: int) -> set[int]:
        """The nodes of the blocks that are left out; at least one, or ModelError is raised."""
        found: set[int] = set()
        row: list[list[Any]] = []
        start: Any = None
        for block in [*_blocks(self.nodes), None]:
            before = start
            start = block and tuple(block[-1].outputs[0].shape)
            if (
                block
                and start == before
                and id(block[0]) in self.wide
                and any(_width_of(node) for node in block)
                and not any(id(node.operation) in self.fixed for node in block)
            ):
                row.append(block)
                continue
            found |= {id(node) for left in row[len(row) // depth :] for node in left}
            row = []
        if not found:
            raise _cannot(self.whole, "no block of it gives the shape it takes")
        return found

    def call(self, node: Any, args: Any, kwargs: Any) -> Any:
        """What stands for a node; the nodes of a dropped block hand on what the block is given."""
        import keras

        if id(node) in self.dropped:
            first = next(t for t in keras.tree.flatten(args) if isinstance(t, keras.KerasTensor))
            return [first] * len(node.outputs)
        old = node.operation
        if not isinstance(old, keras.layers.Layer):
            return old(*args, **kwargs)
        if id(old) not in self.made:
            config = {**old.get_config(), "name": self.names.free(old.name)}
            if "trainable" in config:
                config["trainable"] = True  # its weights are new
            if id(old) not in self.fixed:
                self._narrow(config, node, args)
            self.made[id(old)] = type(old).from_config(config)
        new = self.made[id(old)]
        given = new(*args, **kwargs)
        if isinstance(old, keras.layers.Normalization) or self.inherits:
            new.set_weights(old.get_weights())
            settle(new)
        return given

    def _narrow(self, config: dict[str, Any], node: Any, args: Any) -> None:
        """Scale the widths in the config of one layer."""
        for setting in _WIDTHS:
            if isinstance(config.get(setting), int):
                config[setting] = scaled(config[setting], self.width)
        for name in _INSIDE:
            if isinstance(config.get(name), dict):
                # how it was built says the old shape
                config[name] = {k: v for k, v in config[name].items() if k != "build_config"}
                config[name]["config"] = dict(config[name]["config"])
                self._narrow(config[name]["config"], node, args)
        if config.get("groups", 1) > 1 and "filters" in config:
            groups, each = config["groups"], node.operation.filters // config["groups"]
            channels = int(args[0].shape[-1])
            if groups == node.input_tensors[0].shape[-1]:  # a depthwise convolution
                config |= {"groups": channels, "filters": each * channels}
            else:
                config["groups"] = math.gcd(groups, channels, config["filters"])
        shape = config.get("target_shape")
        if shape and id(node) in self.wide and shape[-1] > 1:
            config["target_shape"] = (*shape[:-1], scaled(shape[-1], self.width))


def _width_of(node: Any) -> bool:
    """Whether the operation of a node sets how many channels come out."""
    import keras

    layer = node.operation
    if isinstance(layer, keras.layers.Bidirectional | keras.layers.TimeDistributed):
        layer = getattr(layer, "forward_layer", None) or layer.layer
    return any(hasattr(layer, setting) for setting in ("units", "filters", "output_dim"))


def _fixed(whole: Any, nodes: list[Any]) -> set[int]:
    """The layers that give one output a class: the last ones that set a width."""
    makers = {id(t): node for node in nodes for t in node.outputs}
    found: set[int] = set()
    waiting, seen = list(whole.outputs), set()
    while waiting:
        node = makers.get(id(waiting.pop()))
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if _width_of(node):
            found.add(id(node.operation))
        else:
            waiting += node.input_tensors
    return found


def _after_width(nodes: list[Any], fixed: set[int]) -> set[int]:
    """The nodes whose input comes from a layer with a width that is scaled."""
    tensors: set[int] = set()
    found: set[int] = set()
    for node in nodes:
        wide = any(id(t) in tensors for t in node.input_tensors)
        if wide:
            found.add(id(node))
        if _width_of(node):
            wide = id(node.operation) not in fixed
        if wide:
            tensors |= {id(t) for t in node.outputs}
    return found


def _blocks(nodes: list[Any]) -> list[list[Any]]:
    """Blocks between tensors that everything passes: a layer with a width and what follows it.

    A depthwise convolution begins a block, and the next layer with a width belongs to it; what
    changes the shape without weights (pooling) is a block of its own.
    """
    blocks: list[list[Any]] = []
    waiting = False
    for part in _parts(nodes):
        wide = any(_width_of(node) for node in part)
        deep = any("Depthwise" in type(node.operation).__name__ for node in part)
        before, after = part[0].input_tensors[0].shape, part[-1].outputs[0].shape
        begins = (wide or deep) if wide or deep else before != after
        if not blocks or (begins and not waiting):
            blocks.append([])
        blocks[-1] += part
        waiting = (deep or waiting) and not wide
    return blocks


def _parts(nodes: list[Any]) -> list[list[Any]]:
    """The graph cut at every tensor that is all that the rest of the graph is given."""
    last = {id(t): place for place, node in enumerate(nodes) for t in node.input_tensors}
    parts: list[list[Any]] = []
    current: list[Any] = []
    reach = -1  # the last node that uses a tensor made so far
    for place, node in enumerate(nodes):
        reach = max(reach, *(last[id(t)] for t in node.input_tensors))
        current.append(node)
        if reach <= place and len(node.outputs) == 1:
            parts.append(current)
            current = []
        reach = max(reach, *(last.get(id(t), place) for t in node.outputs))
    return [*parts, current] if current else parts


def _cannot(model: Any, why: str) -> ModelError:
    return ModelError(
        f"{model.name} cannot be made smaller by itself: {why}",
        "a Sequential or functional net with hidden layers that fit together by their widths",
        "give a student: FILE.py:function or a .keras file",
    )
