"""Demand series from a file in long form: CSV, gzip or Parquet (CONTRACTS, demand trace).

Values are averaged on an even grid, which is then taken to ten minutes. Windows where every group
is zero are gaps; with several group columns, also windows where every group under the same first
column is (a collector that fell silent for one model).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from infra_console.telemetry.series import Array
from tiers.core.forecast.features import HOUR
from tiers.core.forecast.quantiles import STEP_S
from tiers.core.forecast.windows import DAY

ALL = "all"
STEADY = 0.2  # of the day's median: a series that never falls below does not fall to zero
_DEFAULT_TIMES = ("time", "t_s")


class SeriesFileError(Exception):
    """The file cannot be read as demand series; names the row and the column."""


@dataclass(frozen=True, slots=True, eq=False)
class FileSeries:
    """`history` (N, T), NaN where unknown, at `times_s` (T,); `groups` name the rows.

    `calendar` is false when the file counts seconds from an unknown start.
    """

    groups: tuple[str, ...]
    history: Array
    times_s: Array
    calendar: bool


def read_series(
    path: Path,
    *,
    time_column: str | None = None,
    value_column: str = "rate_rps",
    group_column: str | None = None,
    top: int | None = None,
) -> FileSeries:
    """Read a file's series on the ten-minute grid.

    `top` asks for the largest, largest first; with several group columns, of each first column.

    Raises:
        SeriesFileError: it is missing, not a table, lacks a column, or a row is no number or time.
    """
    table = _table(path)
    given = table.column_names
    time_column = time_column or next((c for c in _DEFAULT_TIMES if c in given), "time")
    if group_column is None:
        group_column = "model" if "model" in given else ""
    names = [name for name in (group_column or "").split(",") if name]
    summed = value_column.split("+")
    for name in (time_column, *summed, *names):
        if name not in table.column_names:
            raise SeriesFileError(
                f"{path.name} has no column {name}; it has {', '.join(table.column_names)}"
            )
    if not table.num_rows:
        raise SeriesFileError(f"{path.name} has a header and no rows")
    seconds, calendar = _times(table, time_column, path.name)
    values = np.sum([_numbers(table, name, path.name) for name in summed], axis=0)
    groups, codes, families = _groups(table, names)
    history, start_s = _on_grid(seconds, values, codes, len(groups), path.name)
    _mask_gaps(history, families)
    chosen = largest(history, families, top) if top else np.arange(len(groups))
    return FileSeries(
        groups=tuple(groups[i] for i in chosen),
        history=history[chosen],
        times_s=start_s + STEP_S * np.arange(history.shape[1], dtype=np.float64),
        calendar=calendar,
    )


def largest(history: Array, families: np.ndarray, top: int) -> np.ndarray:
    """The rows of the `top` largest of each family, largest first."""
    by_volume = np.argsort(-np.nansum(history, axis=1), kind="stable")
    chosen = [by_volume[families[by_volume] == family][:top] for family in np.unique(families)]
    return np.concatenate(chosen)


def _table(path: Path) -> pa.Table:
    if not path.is_file():
        raise SeriesFileError(f"{path} is not a file")
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        return pcsv.read_csv(path)
    except (pa.ArrowException, OSError) as err:
        raise SeriesFileError(f"{path.name} cannot be read: {err}") from err


def _times(table: pa.Table, name: str, file: str) -> tuple[Array, bool]:
    """Seconds, and whether they are calendar time."""
    column = table[name]
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _numbers(table, name, file), False
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        found = np.empty(len(column), dtype="datetime64[us]")
        for row, text in enumerate(column.to_pylist()):
            try:
                found[row] = np.datetime64(str(text).removesuffix("Z").removesuffix("+00:00"))
            except ValueError as err:
                raise SeriesFileError(
                    f"{file}, row {row + 1}, column {name}: {text!r} is no ISO 8601 time"
                ) from err
    else:
        found = pc.cast(column, pa.timestamp("us"), safe=False).to_numpy()
    missing = np.flatnonzero(np.isnat(found))
    if len(missing):
        raise SeriesFileError(f"{file}, row {missing[0] + 1}, column {name}: there is no time")
    return found.astype("datetime64[us]").astype(np.int64) / 1e6, True


def _numbers(table: pa.Table, name: str, file: str) -> Array:
    """A numeric column; empty cells are unknown."""
    column = table[name]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        for row, text in enumerate(column.to_pylist()):
            try:
                float("nan" if text in {None, ""} else text)
            except (TypeError, ValueError) as err:
                raise SeriesFileError(
                    f"{file}, row {row + 1}, column {name}: {text!r} is no number"
                ) from err
        column = pc.cast(column, pa.float64())
    found: Array = column.to_numpy().astype(np.float64)
    bad = np.flatnonzero(np.isinf(found) | (found < 0))
    if len(bad):
        raise SeriesFileError(
            f"{file}, row {bad[0] + 1}, column {name}: {found[bad[0]]} cannot be a demand"
        )
    return found


def _groups(table: pa.Table, names: list[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the groups, each row's group, and each group's family (its first column)."""
    if not names:
        return [ALL], np.zeros(table.num_rows, dtype=np.int64), np.zeros(1, dtype=np.int64)
    coded = [table[name].combine_chunks().dictionary_encode() for name in names]
    places = np.stack([c.indices.to_numpy(zero_copy_only=False) for c in coded], axis=1)
    found, codes = np.unique(places, axis=0, return_inverse=True)
    labels = [[str(v) for v in c.dictionary.to_pylist()] for c in coded]
    groups = ["/".join(labels[i][p] for i, p in enumerate(row)) for row in found]
    families = found[:, 0] if len(names) > 1 else np.zeros(len(groups), dtype=np.int64)
    return groups, codes.ravel(), families


def _on_grid(
    seconds: Array, values: Array, codes: np.ndarray, count: int, file: str
) -> tuple[Array, float]:
    """(N, T) means by ten-minute window and the first window's start."""
    start_s = np.floor(seconds.min() / STEP_S) * STEP_S
    place = ((seconds - start_s) // STEP_S).astype(np.int64)
    length = int(place.max()) + 1
    if length * count > 50_000_000:
        raise SeriesFileError(f"{file} spans {length} windows of {count} groups: too many")
    known = np.isfinite(values)
    cell = codes[known] * length + place[known]
    total = np.bincount(cell, values[known], minlength=count * length)
    samples = np.bincount(cell, minlength=count * length)
    with np.errstate(invalid="ignore"):
        history = (total / samples).reshape(count, length)
    return history, float(start_s)


def _mask_gaps(history: Array, families: np.ndarray) -> None:
    """Windows where a whole family reads zero become unknown, unless it never reads more."""
    for family in np.unique(families):
        rows = families == family
        total = np.nansum(history[rows], axis=0)
        if (total > 0).any():
            history[np.ix_(rows, total == 0)] = np.nan
    for row in history:
        _mask_dropouts(row)


def _mask_dropouts(row: Array) -> None:
    """Up to an hour of zeros in a row whose whole day before was far from zero is a gap as well.

    A total can fall silent while its neighbours go on. Only the past decides.
    """
    run = 0
    for place in np.flatnonzero(row == 0):
        run = run + 1 if place and run and np.isnan(row[place - 1]) else 1
        day = row[max(0, place - DAY) : place]
        known = day[np.isfinite(day)]
        if len(known) >= DAY // 2 and known.min() > STEADY * np.median(known) and run <= HOUR:
            row[place] = np.nan
        else:
            run = 0
