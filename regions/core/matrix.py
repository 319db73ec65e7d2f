"""A file of round-trip times: a square matrix in milliseconds, the source in the first column."""

import csv
from collections.abc import Collection
from io import StringIO
from math import isfinite

from regions.core.errors import MatrixInvalid
from regions.core.rtt import Pair, RoundTrip

# Half the earth's girth there and back, ten times over: no network is slower and still one.
MOST_MS = 4000.0


def parse_matrix(
    text: str, *, age_s: float | None = None, only: Collection[str] = ()
) -> dict[Pair, RoundTrip]:
    """Read a matrix; rows and columns beside `only` are left out, the diagonal is ignored.

    An empty cell is a pair that nobody measured.

    Raises:
        MatrixInvalid: the row and column at fault; nothing is returned.
    """
    rows = [row for row in csv.reader(StringIO(text)) if any(cell.strip() for cell in row)]
    if not rows:
        raise MatrixInvalid("line 1", "the file is empty")
    names = [cell.strip() for cell in rows[0][1:]]
    _check_names("the first line", names)
    _check_names("the first column", [row[0].strip() for row in rows[1:]])
    if set(names) != {row[0].strip() for row in rows[1:]}:
        raise MatrixInvalid("the first column", "rows and columns do not name the same regions")
    return {
        (source, name): RoundTrip(ms, "matrix", age_s)
        for row in rows[1:]
        for source in [row[0].strip()]
        for name, ms in _cells(source, names, row[1:])
        if source != name and (not only or (source in only and name in only))
    }


def _check_names(where: str, names: list[str]) -> None:
    if "" in names:
        raise MatrixInvalid(where, "a region without a name")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MatrixInvalid(where, f"{twice[0]} stands there twice")


def _cells(source: str, names: list[str], cells: list[str]) -> list[tuple[str, float]]:
    if len(cells) != len(names):
        raise MatrixInvalid(f"row {source}", f"{len(cells)} values for {len(names)} columns")
    found = []
    for name, cell in zip(names, cells, strict=True):
        if cell.strip() and name != source:
            found.append((name, _milliseconds(f"row {source}, column {name}", cell)))
    return found


def _milliseconds(place: str, cell: str) -> float:
    try:
        ms = float(cell)
    except ValueError:
        raise MatrixInvalid(place, f"{cell.strip()!r} is not a number") from None
    if not isfinite(ms) or not 0.0 < ms <= MOST_MS:
        raise MatrixInvalid(place, f"{cell.strip()} ms is not between 0 and {MOST_MS:.0f} ms")
    return ms
