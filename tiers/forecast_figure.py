"""The forecast page's figure as a Plotly document, and the same as rows of a table."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tiers.figures import Figure, band_traces, line_at, some_of, time_layout, trace
from tiers.forecast_timeline import Curve, ForecastTimeline
from tiers.models import CalendarEvent

ROWS = 24  # of the past, and as many of the future at most


@dataclass(frozen=True, slots=True)
class Row:
    """One time of the table; None is unknown or not said."""

    at: datetime
    future: bool
    actual: float | None
    p5: float | None
    p50: float | None
    p95: float | None
    events: str


def forecast_figure(
    line: ForecastTimeline,
    events: Sequence[CalendarEvent],
    *,
    window: tuple[datetime, datetime, datetime],
    future: bool,
) -> Figure:
    """Actual demand over the band given out before, and the band of the next hours.

    Args:
        window: the left edge, now, and the right edge.
    """
    start, now, end = window
    hover = f"%{{y:,.1f}} {line.unit}"
    said = f"Forecast {line.ahead_h} h before"
    data = band_traces(line.given, said, legend=False, hover=hover, dash="dot", width=1.2)
    if any(v is not None for v in line.actual):
        data.append(
            trace("Actual", line.times, line.actual, "--chart-busy", hover=hover, width=2.2)
        )
    if future:
        data += band_traces(line.coming, "Forecast", hover=hover, dash="dash") + _known(line)
    layout = time_layout(
        start, end, unit=line.unit, top=22,
        shapes=[line_at(now), *(_marked(e, start, end) for e in events)],
        annotations=[_named(e, start, end) for e in events],
    )  # fmt: skip
    problem = " ".join(_problems(line, has_data=bool(data)))
    return {"data": data, "layout": layout, "problem": problem}


def _known(line: ForecastTimeline) -> list[Figure]:
    if not line.known:
        return []
    name = "Known gangs until they end"
    return [trace(name, line.coming.times, line.known, "--chart-training", shape="hv", dash="dot")]


def _problems(line: ForecastTimeline, *, has_data: bool) -> Iterator[str]:
    if line.problem:
        yield f"No history: {line.problem}. Forecasts that were made are still shown."
    elif not has_data:
        yield "Neither a history nor a forecast is known for this choice."
    elif line.unknown:
        yield f"The actual sum lacks {some_of(line.unknown)}: it is “at least”."
    if line.unforecast and has_data:
        yield f"The forecast lacks {some_of(line.unforecast)}: it is “at least”."


def _marked(event: CalendarEvent, start: datetime, end: datetime) -> Figure:
    return {
        "type": "rect", "xref": "x", "yref": "paper", "layer": "below", "y0": 0, "y1": 1,
        "x0": max(event.starts_at, start).isoformat(), "x1": min(event.ends_at, end).isoformat(),
        "fillcolor": "--warn-bg", "opacity": 0.7, "line": {"width": 0},
    }  # fmt: skip


def _named(event: CalendarEvent, start: datetime, end: datetime) -> Figure:
    """Its title above it, within the chart: to the left of its end in the right half."""
    late = event.starts_at > start + (end - start) / 2
    at = min(event.ends_at, end) if late else max(event.starts_at, start)
    return {
        "xref": "x", "yref": "paper", "x": at.isoformat(), "y": 1.0,
        "xanchor": "right" if late else "left", "yanchor": "bottom", "text": event.title[:24],
        "showarrow": False, "font": {"color": "--warn", "size": 11},
    }  # fmt: skip


# --- the same as a table ------------------------------------------------------------------------


def table_rows(
    line: ForecastTimeline, events: Iterable[CalendarEvent], *, future: bool
) -> list[Row]:
    """Even times of the past with what had been said of them, then the forecast's steps."""
    held = list(events)
    step = max(1, -(-len(line.times) // ROWS))
    chosen = range(len(line.times) - 1, -1, -step)
    rows = [_past_row(line, i, held) for i in reversed(chosen)]
    if future:
        every = max(1, len(line.coming.times) // 8)
        rows += [
            _row(line.coming, i, None, held, future=True)
            for i in range(every - 1, len(line.coming.times), every)
        ]
    return rows


def _past_row(line: ForecastTimeline, place: int, events: Sequence[CalendarEvent]) -> Row:
    at, actual = line.times[place], line.actual[place]
    near = [i for i, t in enumerate(line.given.times) if abs(t - at) <= 900]
    if near:
        nearest = min(near, key=lambda i: abs(line.given.times[i] - at))
        found = _row(line.given, nearest, actual, events, future=False)
        return Row(_time(at), False, actual, found.p5, found.p50, found.p95, found.events)
    return Row(_time(at), False, actual, None, None, None, _titles(events, _time(at)))


def _row(
    curve: Curve, place: int, actual: float | None, events: Sequence[CalendarEvent], *, future: bool
) -> Row:
    at = _time(curve.times[place])
    return Row(
        at, future, actual, curve.p5[place], curve.p50[place], curve.p95[place],
        _titles(events, at),
    )  # fmt: skip


def _titles(events: Iterable[CalendarEvent], at: datetime) -> str:
    return ", ".join(e.title for e in events if e.starts_at <= at < e.ends_at)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
