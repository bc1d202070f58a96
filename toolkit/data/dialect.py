"""How a table of text is written, told by its first lines: what parts values, names, decimals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SEPARATORS = ",;\t|"
MISSING = ("", "?", "NA", "N/A", "nan", "NaN", "null", "NULL", "None", "-")
"""What stands for a value that is not there."""

_AGAIN = 5
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?(\d*),(\d+)")
_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_BETWEEN = re.compile(r"(?<=\d),(?=\d)")


def separator_of(lines: Sequence[str], suffix: str) -> str:
    """What parts the values: what comes as often in every line, else what the first has most of.

    A comma between digits in every line is one of decimals, where something else parts too.

    >>> separator_of(["1,50;2,30;yes", "-0,70;1,20;no"], ".csv")
    ';'
    """
    first, *rest = lines
    if suffix == ".tsv" and "\t" in first:
        return "\t"
    even = [s for s in SEPARATORS if first.count(s) and len({x.count(s) for x in lines}) == 1]
    others = [s for s in even if s != ","]
    decimals = all(len(_BETWEEN.findall(line)) == line.count(",") for line in rest or lines)
    if others and (decimals or "," not in even):
        return max(others, key=first.count)
    return max(even or SEPARATORS, key=first.count)


def is_number(cell: str) -> bool:
    """Whether a cell, quoted or not, holds a number.

    >>> [is_number(c) for c in ("1.5", '"-2e3"', "1,5", "1_000", "inf", "v1")]
    [True, True, True, False, False, False]
    """
    return bool(_NUMBER.fullmatch(cell.strip().strip('"').strip()))


def headless(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line holds values and no names; rows: the cells of the first lines.

    It does where one of its texts comes again below, and where one is a number, unless a name
    stands over a number or over a few texts that come again, or the numbers count the columns.

    >>> headless([["39", "Private", "<=50K"], ["50", "Self", ">50K"]])
    True
    >>> headless([["0", "1", "label"], ["0.5", "0.2", "1"]])
    False
    >>> headless([["400", "402", "kind"], *[["0.1", "0.2", "ab"[i % 2]] for i in range(10)]])
    False
    """
    cells, *rest = ([cell.strip().strip('"').strip() for cell in row] for row in rows)
    below = [set(column) - set(MISSING) for column in zip(*rest, strict=False)]
    texts = [not is_number(cell) and cell not in MISSING for cell in cells]
    if any(text and c in found for text, c, found in zip(texts, cells, below, strict=False)):
        return True
    numbers = [cell for cell in cells if is_number(cell)]
    over = zip(texts, rest[0] if rest else (), strict=False)
    if not numbers or any(text and is_number(under) for text, under in over):
        return False
    # a value would be among the few that come again and again
    if any(
        text and 1 < len(c) <= len(rest) // _AGAIN for text, c in zip(texts, below, strict=False)
    ):
        return False
    counts = [[str(i + start) for i in range(len(numbers))] for start in (0, 1)]
    return not (len(cells) > len(numbers) > 1 and numbers in counts)


def decimals_of(rows: Sequence[Sequence[str]]) -> tuple[str, str | None]:
    """What stands before decimals, and between thousands, where commas do not part values.

    Commas are of decimals where other than three digits follow one or nothing comes before it;
    else of thousands where smaller numbers of the column have none.

    >>> decimals_of([["1,5"], ["2,25"]]), decimals_of([["950"], ["1,250"]])
    ((',', None), ('.', ','))
    """
    columns = [[cell.strip().strip('"') for cell in column] for column in zip(*rows, strict=False)]
    grouped = False
    for cells in columns:
        found = [_COMMA.fullmatch(cell) for cell in cells]
        if any(m and (len(m[2]) != 3 or m[1] in ("", "0")) for m in found):
            return ",", None
        whole = [cell for cell in cells if "," in cell and is_number(cell)]
        plain = any(re.fullmatch(r"[+-]?\d{1,3}", cell) for cell in cells)
        many = any(_GROUPS.fullmatch(cell) for cell in cells)
        grouped |= many and plain and all(map(_GROUPS.fullmatch, whole))
    if grouped:
        return ".", ","
    return ("," if any(_COMMA.fullmatch(c) for cells in columns for c in cells) else "."), None


def strayed(lines: Iterable[str], separator: str) -> bool:
    """Whether quotes are signs of the texts: one is left open in a line that is whole."""
    odd, cells = False, None
    for line in lines:
        count = line.count(separator)
        if cells is not None and count != cells:
            return False
        cells, odd = count, odd or line.count('"') % 2 == 1
    return odd
