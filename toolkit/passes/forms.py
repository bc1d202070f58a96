"""Ways to write a weight in an ONNX graph with fewer bytes; a runtime folds each when it loads.

A form is some stored tensors and the nodes that make the weight of them: indices into a codebook,
one codebook an output or times a scale an output where a BatchNormalization was folded in, or only
the values that are not 0 with a bit for each place. Every form gives the same values again, scales
to a few units in the last place.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_CLOSE = 2.0**-20
"""Two values this near, relatively, may be one value times two scales that were rounded."""

_FEW = 16


@dataclass
class Form:
    """One way to write a weight. four: it holds values of four bits and needs opset 21."""

    kind: str
    names: Iterator[str]
    tensors: list[Any] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    four: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes in the file: each message has a tag and its length before it."""
        return sum(m.ByteSize() + 3 for m in (*self.tensors, *self.nodes))

    def store(self, values: Array) -> str:
        """Keep values as they are (lengths and places as INT64); gives the name."""
        from onnx import numpy_helper

        name = next(self.names)
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def make(self, kind: str, *inputs: str, name: str = "", **settings: Any) -> str:
        """Add a node; gives the name of what it makes."""
        from onnx import helper

        name = name or next(self.names)
        self.nodes.append(helper.make_node(kind, inputs, [name], **settings))
        return name

    def indices(self, values: Array, count: int, *, opset21: bool) -> str:
        """Indices below `count`, INT32 of the same shape, in 1, 2, 4 or 8 bits each."""
        from onnx import TensorProto, helper

        bits = next(b for b in (1, 2, 4, 8) if count <= 2**b)
        flat: Array = values.astype(np.uint8).ravel()
        share = 8 // bits
        if bits == 8:
            return self.make("Cast", self.store(values.astype(np.uint8)), to=TensorProto.INT32)
        flat = np.append(flat, np.zeros(-len(flat) % share, np.uint8)).reshape(-1, share)
        packed = (flat << (bits * np.arange(share, dtype=np.uint8))).sum(axis=1).astype(np.uint8)
        if bits == 4 and opset21:
            name, self.four = next(self.names), True
            self.tensors.append(
                helper.make_tensor(
                    name, TensorProto.UINT4, values.shape, packed.tobytes(), raw=True
                )
            )
            return self.make("Cast", name, to=TensorProto.INT32)
        # older opsets know no four bits, none knows fewer: shifts and remainders take them apart
        shifts = self.store(bits * np.arange(share, dtype=np.uint8))
        parts = self.make("BitShift", self.store(packed[:, None]), shifts, direction="RIGHT")
        parts = self.make("Mod", parts, self.store(np.array([2**bits], np.uint8)))
        wide = self.make("Cast", parts, to=TensorProto.INT32)
        if values.size % share:
            flat_name = self.make("Reshape", wide, self.store(np.array([-1])))
            ends = [self.store(np.array([n])) for n in (0, values.size)]
            wide = self.make("Slice", flat_name, *ends)
        return self.make("Reshape", wide, self.store(np.array(values.shape)))

    def spread(self, kept: str, mask: Array) -> str:
        """A flat tensor whose first value stands where `mask` is False, the others in order."""
        bits = self.indices(mask.ravel(), 2, opset21=False)
        places = self.make("CumSum", bits, self.store(np.array(0)))
        places = self.make("Mul", places, bits)
        flat = self.make("Gather", kept, places)
        return self.make("Reshape", flat, self.store(np.array(mask.shape)))

    def ending(self, name: str) -> Form:
        """The same with its last tensor called `name`."""
        self.nodes[-1].output[0] = name
        return self


def forms(
    values: Array, names: Iterable[str], *, opset21: bool, exact: bool = False
) -> Iterator[Form]:
    """Every form that can hold `values` (two axes or more); the caller takes the smallest.

    exact: leave out scales, which are right to a few units in the last place only.
    """
    names = iter(names)
    book, codes = np.unique(values, return_inverse=True)
    codes = codes.reshape(values.shape)
    if opset21 and values.dtype == np.int8 and book[0] >= -8 and book[-1] <= 7:
        yield _nibbles(values, names)
    if len(book) <= 256:
        yield from _coded("codebook", names, codes, book, opset21=opset21)
    mask = values != 0
    if not mask.all():
        sparse = Form("sparse", names)
        kept = np.append(np.zeros(1, values.dtype), values[mask])
        sparse.spread(sparse.store(kept), mask)
        yield sparse
    if len(book) <= _FEW:
        return
    for axis in (0, values.ndim - 1):
        moved = np.moveaxis(values, axis, 0)
        rows = moved.reshape(len(moved), -1)
        if any(len(np.unique(row)) > _FEW for row in rows):
            continue
        lengths = [1] * values.ndim
        lengths[axis] = -1
        width = max(len(np.unique(row)) for row in rows) + bool((rows == 0).any())
        if width <= _FEW:
            books, places = _own_codebooks(rows, width)
            codes = np.moveaxis(places.reshape(moved.shape), 0, axis)
            starts = (width * np.arange(len(rows), dtype=np.int32)).reshape(lengths)
            yield from _coded(
                "codebook an output", names, codes, books, starts=starts, opset21=opset21
            )
        found = None if exact or values.dtype != np.float32 else shared_codebook(rows)
        if found is not None:
            book, scales, places = found
            codes = np.moveaxis(places.reshape(moved.shape), 0, axis)
            scales = scales.reshape(lengths)
            yield from _coded("scaled codebook", names, codes, book, scales=scales, opset21=opset21)


def _nibbles(values: Array, names: Iterator[str]) -> Form:
    """Whole numbers from -8 to 7 as INT4, without a codebook."""
    from onnx import TensorProto, helper

    form = Form("four bits", names, four=True)
    flat = np.append(values.ravel(), np.zeros(values.size % 2, np.int8)).astype(np.uint8) & 15
    name = next(names)
    packed = (flat[0::2] | (flat[1::2] << 4)).tobytes()
    form.tensors.append(helper.make_tensor(name, TensorProto.INT4, values.shape, packed, raw=True))
    form.make("Cast", name, to=TensorProto.INT8)
    return form


def _coded(
    kind: str,
    names: Iterator[str],
    codes: Array,
    book: Array,
    *,
    starts: Array | None = None,
    scales: Array | None = None,
    opset21: bool,
) -> Iterator[Form]:
    """Indices into a codebook, for every place or for those that are not 0.

    starts: where the codebook of each output begins; codes 0 are zeros then.
    """
    # codebooks of one output each are filled up with zeros that no code means
    zero = np.flatnonzero(book[: 1 if starts is not None else None] == 0)[:1]
    count = int(codes.max()) + 1
    for sparse in (False, True) if len(zero) else (False,):
        form = Form(f"sparse {kind}" if sparse else kind, names)
        if sparse:
            mask = codes != zero[0]
            kept = np.append(zero, codes[mask])
            places = form.spread(form.indices(kept, count, opset21=opset21), mask)
        else:
            places = form.indices(codes, count, opset21=opset21)
        if starts is not None:
            places = form.make("Add", places, form.store(starts))
        made = form.make("Gather", form.store(book), places)
        if scales is not None:
            form.make("Mul", made, form.store(scales))
        yield form


def _own_codebooks(rows: Array, width: int) -> tuple[Array, Array]:
    """A codebook of `width` values for each row, one after the other, and indices (n, m) into it.

    Where any value is 0, every codebook begins with it.
    """
    books = np.zeros((len(rows), width), rows.dtype)
    places = np.zeros(rows.shape, np.int64)
    first = int((rows == 0).any())
    for row, book, place in zip(rows, books, places, strict=True):
        values = np.unique(row[row != 0])
        book[first : first + len(values)] = values
        place[:] = np.where(row == 0, 0, first + np.searchsorted(values, row))
    return books.ravel(), places


def shared_codebook(rows: Array) -> tuple[Array, Array, Array] | None:
    """Codebook (k,), scales (n,), indices (n, m): rows = codebook[indices] * scales[:, None].

    k is at most 16, or there is none. Rows are taken from the richest to the poorest; each gets the
    scale under which most of its values are in the codebook already.
    """
    values = [np.unique(row[row != 0]).astype(np.float64) for row in rows]
    if max(map(len, values)) > _FEW:
        return None
    book: Array = np.zeros(1) if (rows == 0).any() else np.zeros(0)
    scales = np.ones(len(rows))
    for i in sorted(range(len(rows)), key=lambda i: -len(values[i])):
        if not len(values[i]):
            continue
        others = book[book != 0]
        # the largest value of the row is one of the codebook, or what fits fewest values is added
        tries = values[i][np.abs(values[i]).argmax()] / others if len(others) else np.ones(1)
        missed = [~_near(values[i] / s, others).any(axis=1) for s in tries]
        best = int(np.argmin([m.sum() for m in missed]))
        scales[i] = np.float64(np.float32(tries[best]))
        book = np.append(book, values[i][missed[best]] / scales[i])
        if len(book) > _FEW:
            return None
    exact = rows.astype(np.float64)
    places = np.abs(exact[:, :, None] - (book * scales[:, None])[:, None, :]).argmin(axis=2)
    # each was found from one rounded value: the mean over all that share it is nearer
    members = np.bincount(places.ravel(), minlength=len(book))
    book = np.bincount(places.ravel(), (exact / scales[:, None]).ravel(), len(book)) / members
    near = book[places]
    scales = (exact * near).sum(axis=1) / np.maximum((near * near).sum(axis=1), 1e-300)
    return book.astype(rows.dtype), scales.astype(rows.dtype), places


def _near(values: Array, book: Array) -> Array:
    """Which values (n,) are which of the codebook (k,), bool (n, k)."""
    return (
        np.asarray(np.abs(values[:, None] / book[None, :] - 1) < _CLOSE)
        if len(book)
        else (np.zeros((len(values), 1), bool))
    )


def fresh_names(taken: set[str]) -> Iterator[str]:
    """Short names that no tensor has.

    >>> next(fresh_names({"p0"}))
    'p1'
    """
    return (name for name in (f"p{i}" for i in itertools.count()) if name not in taken)
