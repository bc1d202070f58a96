"""Two costs at once: which points nothing beats in both, and how much room they rule out."""

from __future__ import annotations

import numpy as np

from toolkit.glossary import Doubles


def front(points: Doubles) -> list[int]:
    """The places of the points f64 (n, 2) that no other equals in one cost and beats in the other.

    In the order of the first cost; of equal points the first counts.

    >>> front(np.array([[1.0, 5], [2, 6], [3, 1], [3, 1]]))
    [0, 2]
    """
    found: list[int] = []
    for i in np.lexsort((np.arange(len(points)), points[:, 1], points[:, 0])):
        if not found or points[i, 1] < points[found[-1], 1]:
            found.append(int(i))
    return found


def unbeaten(points: Doubles) -> list[int]:
    """The places of the points f64 (n, m) that no other beats: in no cost above, in one below.

    Of equal points the first counts.

    >>> unbeaten(np.array([[1.0, 5, 2], [2, 6, 1], [2, 6, 3], [1, 5, 2]]))
    [0, 1]
    """
    found = []
    for i, point in enumerate(points):
        least = (points <= point).all(axis=1)
        below = least & (points < point).any(axis=1)
        if not below.any() and not least[:i].any():
            found.append(i)
    return found


def improvement(points: Doubles, known: Doubles, worst: tuple[float, float]) -> Doubles:
    """How much of the room below `worst` each of `points` would rule out beyond `known`, f64 (n,).

    points: f64 (..., 2) costs. known: f64 (m, 2) costs, m from 0 up. The hypervolume of
    Zitzler and Thiele (1999) in two dimensions is that of all points beside no known one.
    """
    least = known[front(known)] if len(known) else known
    least = least[(least < worst).all(axis=1)]
    # between two edges of the first cost the known points leave free what is below one height
    edges = np.array([-np.inf, *least[:, 0], worst[0]])
    heights = np.array([worst[1], *least[:, 1]])
    first, second = points[..., :1], points[..., 1:]
    width = np.clip(edges[1:] - np.maximum(edges[:-1], first), 0, None)
    height = np.clip(heights - second, 0, None)
    found: Doubles = (width * height).sum(axis=-1)
    return found


def hypervolume(points: Doubles, worst: tuple[float, float]) -> float:
    """The room below `worst` that at least one of the points f64 (n, 2) rules out.

    >>> hypervolume(np.array([[1.0, 2], [2, 1]]), (3, 3))
    3.0
    """
    total = 0.0
    for i in range(len(points)):
        total += float(improvement(points[i : i + 1], points[:i], worst)[0])
    return total
