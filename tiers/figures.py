"""Figures of the tiers pages as plain Plotly documents, and sparklines as SVG paths.

Colours are named by role (`--chart-busy`); the page's theme says what they are. Gaps stay gaps:
None in a trace breaks the line, and nothing is drawn across it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from tiers.timelines import Band

Figure = dict[str, Any]
SPARK_WIDTH, SPARK_HEIGHT = 300.0, 60.0
LEDGER_WIDTH = 1000.0


class Drawn(Protocol):
    """A band over epoch seconds; None is unknown."""

    @property
    def times(self) -> Sequence[float]: ...
    @property
    def p5(self) -> Sequence[float | None]: ...
    @property
    def p50(self) -> Sequence[float | None]: ...
    @property
    def p95(self) -> Sequence[float | None]: ...


def tier_figure(
    history: Mapping[str, Any],
    band: Band | None,
    *,
    floor_gpus: int | None,
    window: tuple[datetime, datetime, datetime],
) -> Figure:
    """GPUs held, busy and asked for, and the forecast's band.

    Args:
        history: what `tier_history` gave.
        band: what `tier_forecast` gave, None when the future is not shown.
        window: the left edge, now, and the right edge.
    """
    start, now, end = window
    data = _past(history) + (band_traces(band, "Forecast", dash="dash") if band else [])
    if floor_gpus is not None and data:
        data.append(_floor(floor_gpus, start, end))
    return {
        "data": data,
        "layout": time_layout(start, end, shapes=[line_at(now)] if band else []),
        "problem": " ".join(_problems(history, band, has_data=bool(data))),
    }


def _problems(history: Mapping[str, Any], band: Band | None, *, has_data: bool) -> Iterator[str]:
    if said := history.get("problem"):
        yield f"The metric source says: {said}. The chart shows what is known."
    elif not has_data or not history["times"]:
        yield "No samples in this range yet: the metric source holds none for this scope."
    elif missing := history.get("missing"):
        yield f"Sums lack {some_of(missing)}, of which not every series is known."
    if band and band.missing:
        yield f"The forecast lacks {some_of(band.missing)}: it is “at least”."


def _past(history: Mapping[str, Any]) -> list[Figure]:
    times = history["times"]
    if not times:
        return []
    return [
        trace("GPUs of the tier", times, history["gpus"], "--chart-gpus", shape="hv", width=2.2),
        trace("Asked for by pods", times, history["asked"], "--chart-asked"),
        trace("Busy", times, history["busy"], "--chart-busy"),
    ]


def _floor(gpus: int, start: datetime, end: datetime) -> Figure:
    ends = [start.timestamp(), end.timestamp()]
    return trace("Floor", ends, [gpus, gpus], "--chart-floor", dash="dot", width=1.2)


# --- parts that the figures of demand share ------------------------------------------------------


def trace(
    name: str,
    times: Sequence[float],
    values: Sequence[float | None],
    colour: str,
    *,
    hover: str = "%{y:.0f} GPUs",
    **look: object,
) -> Figure:
    """A line over epoch seconds; None breaks it."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [_iso(t) for t in times],
        "y": values,
        "connectgaps": False,
        "line": {"color": colour, "width": 1.6, "shape": "linear", "dash": "solid", **look},
        "hovertemplate": hover,
    }


def band_traces(
    band: Drawn, name: str, *, legend: bool = True, hover: str = "%{y:.0f} GPUs", **look: object
) -> list[Figure]:
    """p5 to p95 as an area around the median; nothing where no median is known."""
    if not any(v is not None for v in band.p50):
        return []
    edge = {
        "type": "scatter", "mode": "lines", "x": [_iso(t) for t in band.times],
        "line": {"width": 0}, "connectgaps": False, "hoverinfo": "skip",
    }  # fmt: skip
    return [
        {**edge, "y": band.p5, "showlegend": False},
        {
            **edge, "y": band.p95, "fill": "tonexty", "fillcolor": "--chart-band",
            "name": f"{name}, p5–p95", "showlegend": legend,
        },
        trace(f"{name}, p50", band.times, band.p50, "--chart-forecast", hover=hover, **look),
    ]  # fmt: skip


def line_at(now: datetime) -> Figure:
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": now.isoformat(), "x1": now.isoformat(),
        "y0": 0, "y1": 1, "line": {"color": "--chart-ink", "width": 1, "dash": "dot"},
    }  # fmt: skip


def time_layout(
    start: datetime, end: datetime, *, unit: str = "GPUs", top: int = 8, **more: object
) -> Figure:
    """One axis of time and one from zero; `top` is the room for words above, in pixels."""
    axis = {"gridcolor": "--chart-grid", "zeroline": False, "color": "--chart-ink"}
    span = {"type": "date", "range": [start.isoformat(), end.isoformat()]}
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "--chart-ink", "size": 12},
        "margin": {"l": 56, "r": 12, "t": top, "b": 36},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "--card", "font": {"color": "--ink"}},
        "legend": {"orientation": "h", "y": -0.2, "x": 0, "traceorder": "normal"},
        "xaxis": {**axis, **span, "tickangle": 0},
        "yaxis": {**axis, "title": {"text": unit}, "rangemode": "tozero"},
        **more,
    }


def some_of(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


# --- small drawings ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sparkline:
    """SVG paths in a box of SPARK_WIDTH by SPARK_HEIGHT; empty when there is nothing to draw."""

    line: str = ""
    middle: str = ""
    band: str = ""
    now_x: float = 0.0
    top: float = 0.0


def sparkline(
    times: Sequence[float],
    values: Sequence[float | None],
    band: Band,
    *,
    start_s: float,
    now_s: float,
    end_s: float,
) -> Sparkline:
    """Past values and the forecast's band on one small axis from zero."""
    top = max([v for v in values if v is not None] + list(band.p95), default=0.0) or 1.0

    def place(time: float, value: float) -> str:
        x = SPARK_WIDTH * (time - start_s) / (end_s - start_s)
        return f"{x:.1f} {SPARK_HEIGHT * (1 - value / top):.1f}"

    upper = [place(t, v) for t, v in zip(band.times, band.p95, strict=True)]
    lower = [place(t, v) for t, v in zip(band.times, band.p5, strict=True)]
    past = zip(times, values, strict=True)
    return Sparkline(
        line=_broken([None if v is None else place(t, v) for t, v in past]),
        middle=_broken([place(t, v) for t, v in zip(band.times, band.p50, strict=True)]),
        band=f"M{' L'.join([*upper, *reversed(lower)])}Z" if upper else "",
        now_x=SPARK_WIDTH * (now_s - start_s) / (end_s - start_s),
        top=top,
    )


def _broken(places: Sequence[str | None]) -> str:
    """One path with a new start after every gap."""
    path, pen_down = [], False
    for place in places:
        if place is not None:
            path.append(f"{'L' if pen_down else 'M'}{place}")
        pen_down = place is not None
    return " ".join(path)


@dataclass(frozen=True, slots=True)
class LedgerPart:
    """One ledger state as a piece of a bar of LEDGER_WIDTH."""

    state: str
    gpus: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class LedgerBar:
    total: int
    parts: tuple[LedgerPart, ...]


def ledger_bar(ledger: Mapping[str, int]) -> LedgerBar:
    """The ledger as one bar: its pieces sum to the fleet, as the ledger does."""
    total = sum(ledger.values())
    parts, x = [], 0.0
    for state, gpus in ledger.items():
        width = LEDGER_WIDTH * gpus / total
        parts.append(LedgerPart(state, gpus, x, width))
        x += width
    return LedgerBar(total, tuple(parts))
