"""The mean products of what a layer reads: what an error of its weights does to what it makes.

Whole, they are a matrix of k times k inputs. Where a wide layer has been seen on fewer rows than it
has inputs, the rows themselves are fewer values and give the same products: 32,768 inputs would
need 8.6 GB, their 200 rows need 52 MB.
"""

from __future__ import annotations

import numpy as np

from toolkit.glossary import Doubles, Floats

WIDE = 4096
"""Inputs of a layer from which on rows may stand for its products."""


class Products:
    """Mean products of inputs, f64 (groups, k, k), as a matrix."""

    def __init__(self, squares: Doubles) -> None:
        """squares: f64 (groups, k, k)."""
        self._squares = squares

    def diagonal(self) -> Doubles:
        """The mean square of each input, f64 (groups, k)."""
        return np.asarray(np.einsum("gkk->gk", self._squares))

    def of(self, error: Doubles) -> float:
        """The mean square of what an error of weights, f64 (groups, k, n), makes, over outputs."""
        return float(np.einsum("gkn,gkl,gln->", error, self._squares, error, optimize=True))

    def damped(self, more: Doubles) -> Products:
        """With this added to the square of each input of a group, f64 (groups,)."""
        k = self._squares.shape[1]
        return Products(self._squares + more[:, None, None] * np.eye(k))

    def start(self, error: Doubles) -> None:
        """Begin to follow an error of weights, f64 (groups, k, n), that `move` changes."""
        self._pull = self._squares @ error

    def pull(self, at: int) -> Doubles:
        """The products of input `at` with what the error makes, f64 (groups, n)."""
        return np.asarray(self._pull[:, at])

    def move(self, at: int, by: Doubles) -> None:
        """Change the error of the weights of input `at` by f64 (groups, n)."""
        self._pull += self._squares[:, :, at, None] * by[:, None, :]


class ProductsOfRows(Products):
    """The same by the rows that were seen, f64 (groups, m, k), m less than k."""

    def __init__(self, rows: Doubles, more: Doubles | None = None) -> None:
        """rows: divided by the root of their number. more: what is added to each square."""
        self._inputs = np.ascontiguousarray(np.swapaxes(rows, 1, 2))
        self._more = np.zeros(len(rows)) if more is None else more

    def diagonal(self) -> Doubles:
        """The mean square of each input, f64 (groups, k)."""
        return np.asarray((self._inputs**2).sum(axis=2) + self._more[:, None])

    def of(self, error: Doubles) -> float:
        """The mean square of what an error of weights, f64 (groups, k, n), makes, over outputs."""
        made = np.swapaxes(self._inputs, 1, 2) @ error
        return float((made**2).sum() + (self._more * (error**2).sum(axis=(1, 2))).sum())

    def damped(self, more: Doubles) -> Products:
        """With this added to the square of each input of a group, f64 (groups,)."""
        return ProductsOfRows(np.swapaxes(self._inputs, 1, 2), self._more + more)

    def start(self, error: Doubles) -> None:
        """Begin to follow an error of weights, f64 (groups, k, n), that `move` changes."""
        self._error = error.copy()
        self._made = np.swapaxes(self._inputs, 1, 2) @ error

    def pull(self, at: int) -> Doubles:
        """The products of input `at` with what the error makes, f64 (groups, n)."""
        seen = self._inputs[:, at, None, :] @ self._made
        return np.asarray(seen[:, 0] + self._more[:, None] * self._error[:, at])

    def move(self, at: int, by: Doubles) -> None:
        """Change the error of the weights of input `at` by f64 (groups, n)."""
        self._error[:, at] += by
        self._made += self._inputs[:, at, :, None] * by[:, None, :]


class Gathered:
    """What a layer reads, part by part, and its products in the end."""

    def __init__(self) -> None:
        """Nothing is seen yet."""
        self._count = 0
        self._sum: Doubles | float = 0.0
        self._squares: Doubles | float = 0.0
        self._rows: list[Floats] = []

    def add(self, seen: Floats, whole: float) -> None:
        """Take in f32 (groups, m, k) of `whole` rows that there will be for each group."""
        self._count += seen.shape[1]
        self._sum = self._sum + seen.sum(axis=1, dtype=np.float64)
        k = seen.shape[2]
        if k > WIDE and whole < k:
            self._rows.append(seen)
        else:
            products = np.matmul(np.swapaxes(seen, 1, 2), seen)
            self._squares = self._squares + np.asarray(products, np.float64)

    def products(self) -> Products:
        """Of all that was taken in."""
        if self._rows:
            rows = np.concatenate(self._rows, axis=1).astype(np.float64)
            return ProductsOfRows(rows / np.sqrt(self._count))
        return Products(np.asarray(self._squares / self._count))

    def means(self) -> Doubles:
        """The mean of each input, f64 (groups, k)."""
        return np.asarray(self._sum / self._count)
