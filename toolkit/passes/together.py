"""Labelled and unlabelled rows as one, without either being read as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.glossary import Floats


@dataclass(frozen=True, eq=False)
class Together:
    """Rows of two arrays of one row shape, one after the other; either may stay in its files.

    >>> both = Together(np.zeros((2, 1), np.float32), np.ones((3, 1), np.float32))
    >>> len(both), both[np.array([4, 0])].tolist()
    (5, [[1.0], [0.0]])
    """

    first: Any
    second: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """As of one array."""
        return (len(self), *self.first.shape[1:])

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, rows: Any) -> Floats:
        """The rows of an array of indices, in its order."""
        late = rows >= len(self.first)
        out = np.empty((len(rows), *self.first.shape[1:]), np.float32)
        out[~late] = self.first[rows[~late]]
        out[late] = self.second[rows[late] - len(self.first)]
        return out
