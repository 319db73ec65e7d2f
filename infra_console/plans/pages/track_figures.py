"""The track record as plain Plotly documents. Colours are named by role; the theme knows them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from infra_console.plans import clock
from infra_console.plans.models import Settlement
from infra_console.plans.settling.track_record import MODES, TrackRecord, ratios

Figure = dict[str, Any]
COLOUR = {"executed": "--chart-busy", "shadow": "--chart-asked"}
SYMBOL = {"executed": "circle", "shadow": "diamond-open"}
WORDS = {"executed": "carried out", "shadow": "shadow"}
NOTHING = "Nothing was settled in this time."


def kept_figure(record: TrackRecord) -> Figure:
    """Each day's share of promises that came true, by mode, and the harmful shadows beneath."""
    data = [_shares(record, mode) for mode in MODES] + [_harms(record)]
    return {
        "data": [trace for trace in data if trace["x"]],
        "layout": _layout(
            record.since,
            yaxis={"tickformat": ".0%", "range": [0, 1.05], "title": {"text": "promises kept"}},
            yaxis2={
                "overlaying": "y", "side": "right", "rangemode": "tozero", "dtick": 1,
                "showgrid": False, "title": {"text": "harmful shadows"}, "color": "--chart-ink",
            },
        ),
        "problem": "" if record.daily else NOTHING,
    }  # fmt: skip


def ratio_figure(settlements: Sequence[Settlement], *, since: datetime) -> Figure:
    """Each measured promise when it was settled: what came of it over what was promised."""
    points = ratios(settlements)
    data = [_points(points, mode) for mode in MODES]
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1,
            "line": {"color": "--chart-ink", "width": 1, "dash": "dot"}}  # fmt: skip
    return {
        "data": [trace for trace in data if trace["x"]],
        "layout": _layout(
            since,
            hovermode="closest",
            shapes=[line],
            yaxis={"title": {"text": "realised ÷ promised"}, "rangemode": "tozero"},
        ),
        "problem": "" if points else NOTHING,
    }


def _shares(record: TrackRecord, mode: str) -> Figure:
    days = [d for d in record.daily if d.mode == mode and d.tally.kept_share is not None]
    return {
        "type": "scatter", "mode": "lines+markers", "name": f"kept, {WORDS[mode]}",
        "x": [d.day.isoformat() for d in days], "y": [d.tally.kept_share for d in days],
        "customdata": [[d.tally.kept, d.tally.kept + d.tally.missed] for d in days],
        "line": {"color": COLOUR[mode], "width": 1.8},
        "marker": {"color": COLOUR[mode], "symbol": SYMBOL[mode], "size": 8},
        "hovertemplate": "%{customdata[0]} of %{customdata[1]} kept",
    }  # fmt: skip


def _harms(record: TrackRecord) -> Figure:
    days = [d for d in record.daily if d.mode == "shadow" and d.tally.told]
    return {
        "type": "bar", "name": "harmful, had they been carried out", "yaxis": "y2",
        "x": [d.day.isoformat() for d in days], "y": [d.tally.harmful for d in days],
        "width": [20 * 3600 * 1000] * len(days),
        "marker": {"color": "--chart-floor", "opacity": 0.35},
        "customdata": [d.tally.told for d in days],
        "hovertemplate": "%{y} of %{customdata} shadows would have hurt",
    }  # fmt: skip


def _points(points: Sequence[tuple[Settlement, str, float]], mode: str) -> Figure:
    mine = [p for p in points if p[0].shadow == (mode == "shadow")]
    return {
        "type": "scatter", "mode": "markers", "name": WORDS[mode],
        "x": [settled.at.isoformat() for settled, _, _ in mine],
        "y": [ratio for _, _, ratio in mine],
        "text": [f"plan {settled.plan.number}: {title}" for settled, title, _ in mine],
        "customdata": [{"href": f"/plans/{settled.plan_id}/"} for settled, _, _ in mine],
        "marker": {"color": COLOUR[mode], "symbol": SYMBOL[mode], "size": 8},
        "hovertemplate": "%{text}<br>%{y:.2f} of what was promised<extra></extra>",
    }  # fmt: skip


def _layout(since: datetime, **changes: Any) -> Figure:
    tomorrow = clock.now() + timedelta(days=1)  # the last bar and point are seen whole
    axis = {"gridcolor": "--chart-grid", "zeroline": False, "color": "--chart-ink"}
    yaxes = {k: axis | changes.pop(k) for k in list(changes) if k.startswith("yaxis")}
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "--chart-ink", "size": 12},
        "margin": {"l": 60, "r": 60, "t": 8, "b": 36},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "--card", "font": {"color": "--ink"}},
        "legend": {"orientation": "h", "y": -0.2},
        "xaxis": axis | {"type": "date", "range": [since.isoformat(), tomorrow.isoformat()]},
        **yaxes,
        **changes,
    }
