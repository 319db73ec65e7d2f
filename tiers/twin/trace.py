"""Inference demand from a recorded trace: CSV, gzip or Parquet in long form.

Columns: `time` (ISO 8601) or `t_s` (seconds from the start), `model`, `rate_rps`, optionally
`region`; other columns are left alone. What is not said is chosen by rule and printed:

- models the twin does not know: groups are sorted by volume and dealt to the twin's models in turn,
  so that one group may drive several models, or several groups one;
- size: one factor per model brings its mean to 60 % of what the first groups serve;
- no region: a region gets the share of its first groups, and the trace's clock is its local time;
- shorter than what is asked: tiled in whole days (a trace under a day as it is), and said so;
- windows where a group is zero are gaps of the collection: its demand is interpolated across them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from tiers.twin.errors import TraceInvalid
from tiers.twin.load_test import UNITS_PER_GROUP
from tiers.twin.noise import Floats
from tiers.twin.profile import INFERENCE, MODELS, REGION_IDS, REGIONS, initial_groups

DAY_S = 86_400.0
FLEET_SHARE = 0.6
_OFFSET_S = {region.id: region.utc_offset_hours * 3600.0 for region in REGIONS}
Key = tuple[str, str]


@dataclass(frozen=True)
class Curve:
    """Rates of one group (requests/s) on a regular clock that repeats after `period_s`.

    `origin_s` is the Unix time of the first value; NaN has been interpolated, `gaps` counts it.
    """

    rates_rps: Floats
    step_s: float
    origin_s: float
    gaps: int

    @property
    def period_s(self) -> float:
        length_s = len(self.rates_rps) * self.step_s
        return length_s // DAY_S * DAY_S if length_s >= DAY_S else length_s

    def at(self, t_s: Floats) -> Floats:
        """Rates at Unix times `(n,)`, linear between windows' starts, tiled by the period."""
        whole = int(self.period_s / self.step_s)
        position = ((t_s - self.origin_s) % self.period_s) / self.step_s
        closed = np.append(self.rates_rps[:whole], self.rates_rps[0])
        rates: Floats = np.interp(position, np.arange(whole + 1), closed)
        return rates


@dataclass(frozen=True)
class TraceDemand:
    """Demand of the twin read from a trace; `table` says which group drives which model."""

    name: str
    curves: Mapping[Key, Curve]
    has_regions: bool
    table: Mapping[str, tuple[str, ...]]
    factors: Mapping[str, float]

    @property
    def description(self) -> str:
        return f"trace {self.name}"

    @property
    def notes(self) -> tuple[str, ...]:
        """One line per fact an operator must know when reading charts drawn from this demand."""
        gaps = {group: curve.gaps for (_, group), curve in self.curves.items() if curve.gaps}
        days = {group: curve.period_s / DAY_S for (_, group), curve in self.curves.items()}
        lines = [
            f"{model} follows {' + '.join(groups)} x {self.factors[model]:.4g}"
            for model, groups in self.table.items()
        ]
        lines += [f"{g} repeats every {d:g} days: history repeats itself" for g, d in days.items()]
        lines += [f"{g}: {n} windows without any client are gaps, filled" for g, n in gaps.items()]
        if not self.has_regions:
            lines.append("regions share the trace by their first groups, at their local time")
        return tuple(lines)

    def rate_rps(self, region: str, model: str, t_s: Floats) -> Floats:
        times = np.asarray(t_s, dtype=np.float64)
        share = _share(region, model)
        if self.has_regions or share == 0.0:
            share = 1.0 if share else 0.0
            local = times
        else:
            local = times + _OFFSET_S[region]
        place = region if self.has_regions else ""
        total = np.zeros_like(times)
        for group in self.table[model]:
            if (place, group) in self.curves:
                total += self.curves[place, group].at(local)
        return total * share * self.factors[model]


def load_trace(path: Path, size: int = 1) -> TraceDemand:
    """Read a demand trace and fit it to the twin's models and size.

    Raises:
        TraceInvalid: the file cannot be read, a column is missing or of a wrong kind, a region is
            unknown, windows are irregular, or nothing in it is above zero.
    """
    table = _read(path)
    places = _column(path, table, "region") if "region" in table.column_names else None
    if places is not None and (unknown := sorted(set(places) - set(REGION_IDS))):
        raise TraceInvalid(path, f"names unknown regions {', '.join(map(str, unknown))}")
    groups = _column(path, table, "model")
    times, rates = _times(path, table), _numbers(path, table, "rate_rps")
    at = np.array(["" for _ in groups]) if places is None else places
    curves: dict[Key, Curve] = {}
    for place in sorted(set(at)):
        for group in sorted(set(groups[at == place])):
            rows = (at == place) & (groups == group)
            curve = _curve(path, str(group), times[rows], rates[rows])
            if curve is not None:
                curves[str(place), str(group)] = curve
    if not curves:
        raise TraceInvalid(path, "has no rate above zero")
    mapping = _deal(curves)
    factors = {model: size * _factor(model, mapping[model], curves) for model in MODELS}
    return TraceDemand(path.name, curves, places is not None, mapping, factors)


def _read(path: Path) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return parquet.read_table(path)
        return csv.read_csv(path)  # gzip is told from the name
    except (OSError, pa.ArrowInvalid) as err:
        raise TraceInvalid(path, f"cannot be read: {err}") from err


def _column(path: Path, table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        raise TraceInvalid(path, f"has no column {name}; it has {', '.join(table.column_names)}")
    return np.asarray(table.column(name).to_pylist())


def _numbers(path: Path, table: pa.Table, name: str) -> Floats:
    try:
        values = _column(path, table, name).astype(np.float64)
    except (TypeError, ValueError) as err:
        raise TraceInvalid(path, f"column {name} holds something that is no number") from err
    if bool((values < 0).any()):
        raise TraceInvalid(path, f"column {name} holds a negative value")
    return values


def _times(path: Path, table: pa.Table) -> Floats:
    """Unix seconds; a time without an offset is UTC, and `t_s` counts from a midnight."""
    if "time" not in table.column_names:
        return _numbers(path, table, "t_s")
    stamps = [str(stamp) for stamp in _column(path, table, "time")]
    try:
        moments = [datetime.fromisoformat(stamp) for stamp in stamps]
    except ValueError as err:
        raise TraceInvalid(path, f"column time is not ISO 8601: {err}") from err
    aware = [m if m.tzinfo else m.replace(tzinfo=UTC) for m in moments]
    return np.array([moment.timestamp() for moment in aware])


def _curve(path: Path, group: str, times: Floats, rates: Floats) -> Curve | None:
    """The group on a regular clock, or None when it never asks for anything."""
    order = np.argsort(times)
    times, rates = times[order], rates[order]
    if len(times) < 2:
        raise TraceInvalid(path, f"group {group} has a single row")
    step = float(np.median(np.diff(times)))
    if step <= 0:
        raise TraceInvalid(path, f"group {group} has several rows per time")
    slots = np.rint((times - times[0]) / step).astype(np.int64)
    regular = np.full(int(slots[-1]) + 1, np.nan)
    regular[slots] = rates
    known = np.isfinite(regular) & (regular > 0.0)
    if not known.any():
        return None
    where = np.arange(len(regular))
    filled = np.interp(where, where[known], regular[known])
    return Curve(filled, step, float(times[0]), int((~known).sum()))


def _deal(curves: Mapping[Key, Curve]) -> dict[str, tuple[str, ...]]:
    """Which groups drive each of the twin's models."""
    volume: dict[str, float] = {}
    for (_, group), curve in curves.items():
        volume[group] = volume.get(group, 0.0) + float(curve.rates_rps.mean())
    known = {group: (group,) for group in volume if group in MODELS}
    groups = sorted((g for g in volume if g not in known), key=lambda g: (-volume[g], g))
    open_models = [model for model in MODELS if model not in known]
    if not groups:
        groups = sorted(known, key=lambda g: (-volume[g], g))
    dealt: dict[str, list[str]] = {model: [] for model in open_models}
    for i in range(max(len(groups), len(open_models)) if open_models else 0):
        dealt[open_models[i % len(open_models)]].append(groups[i % len(groups)])
    extra = {model: tuple(dict.fromkeys(names)) for model, names in dealt.items()}
    return {model: known.get(model) or extra[model] for model in MODELS}


def _factor(model: str, groups: tuple[str, ...], curves: Mapping[Key, Curve]) -> float:
    workload = next(w for w in INFERENCE if w.id == model)
    serves = sum(initial_groups(r, workload) for r in REGION_IDS) * UNITS_PER_GROUP[model]
    mean = sum(
        float(curve.rates_rps.mean())
        for (place, group), curve in curves.items()
        if group in groups and (not place or place in workload.regions)
    )
    return FLEET_SHARE * serves / mean if mean else 0.0


def _share(region: str, model: str) -> float:
    """A region's share of a model's demand: its part of the groups that run at first."""
    workload = next(w for w in INFERENCE if w.id == model)
    total = sum(initial_groups(r, workload) for r in REGION_IDS)
    return initial_groups(region, workload) / total
