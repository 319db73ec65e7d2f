"""The frontier as a Plotly document; colours are named by role."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from tiers.figures import Figure


def frontier_figure(
    report: Mapping[str, Any],
    *,
    chosen: int | None,
    query: Mapping[str, str],
    address: str,
    budget: float | None = None,
    problem: str = "",
) -> Figure:
    """Cost against latency: points, the band of demand, the objective, now, proposed and chosen.

    Args:
        report: what `frontier_report` gave.
        chosen: place of the chosen point.
        query: the page's assumptions; a click adds the point to them.
        address: the page's path.
        budget: USD per hour, drawn as a line.
        problem: why there are no points.
    """
    points = report["points"]
    data = [*_band(report["bands"]), _curve(points, query, address)]
    data += _marks(report, points, chosen)
    return {
        "data": data if points else [],
        "layout": _layout(budget),
        "problem": "" if points else problem,
    }


def _curve(points: Sequence[Mapping[str, Any]], query: Mapping[str, str], address: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "Frontier",
        "x": [p["usd_per_hour"] for p in points],
        "y": [p["latency_ratio"] for p in points],
        "customdata": [
            {"href": f"{address}?{urlencode({**query, 'point': str(i)})}"}
            for i in range(len(points))
        ],
        "line": {"color": "--chart-busy", "width": 1.6, "shape": "hv"},
        "marker": {"color": "--chart-busy", "size": 5},
        "hovertemplate": "%{x:,.0f} USD/h, %{y:.2f} × objective<extra>click to choose</extra>",
    }


def _band(bands: Mapping[str, Sequence[Sequence[float]]]) -> list[Figure]:
    """Between the frontiers at the median and at the 97.5 % quantile of demand."""
    low, high = bands["p50"], bands["p975"]
    if not low or not high:
        return []
    outline = [*_stairs(low), *reversed(_stairs(high))]
    return [
        {
            "type": "scatter", "mode": "lines", "x": [p[0] for p in outline],
            "y": [p[1] for p in outline], "fill": "toself", "fillcolor": "--chart-band",
            "line": {"width": 0}, "name": "Demand p50 to p97.5", "hoverinfo": "skip",
        },
    ]  # fmt: skip


def _stairs(points: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Corners of the line that keeps a point's latency until the next is paid for."""
    corners = [(points[0][0], points[0][1])]
    for usd, ratio in points[1:]:
        corners += [(usd, corners[-1][1]), (usd, ratio)]
    return corners


def _marks(
    report: Mapping[str, Any], points: Sequence[Mapping[str, Any]], chosen: int | None
) -> list[Figure]:
    """You are here, proposed, chosen; one without a steady state stands at the top edge."""
    top = max((p["latency_ratio"] for p in points), default=1.0)
    marks = [
        ("You are here", report["current"], "--chart-floor", "diamond"),
        ("Proposed", report["proposed"], "--chart-forecast", "star"),
        ("Chosen", points[chosen] if chosen is not None else None, "--chart-gpus", "circle-open"),
    ]
    return [_mark(name, at, colour, symbol, top) for name, at, colour, symbol in marks if at]


def _mark(name: str, at: Mapping[str, Any], colour: str, symbol: str, top: float) -> Figure:
    stable = at["latency_ratio"] is not None
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "x": [at["usd_per_hour"]],
        "y": [at["latency_ratio"] if stable else top],
        "text": [name if stable else f"{name}: not stable"],
        "textposition": "top left" if name == "You are here" else "bottom right",
        "textfont": {"color": "--chart-ink"},
        "marker": {"color": colour, "size": 13, "symbol": symbol, "line": {"width": 2}},
        "hovertemplate": "%{x:,.0f} USD/h"
        + (", %{y:.2f} × objective" if stable else ", queues grow without end")
        + f"<extra>{name}</extra>",
    }


def _layout(budget: float | None) -> Figure:
    axis = {"gridcolor": "--chart-grid", "zeroline": False, "color": "--chart-ink"}
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "--chart-ink", "size": 12},
        "margin": {"l": 60, "r": 16, "t": 12, "b": 48},
        "hoverlabel": {"bgcolor": "--card", "font": {"color": "--ink"}},
        "legend": {"orientation": "h", "y": -0.2},
        "xaxis": {**axis, "title": {"text": "USD per hour of the GPUs that serve, at list price"}},
        "yaxis": {**axis, "title": {"text": "largest p95 first token / objective"}},
        "shapes": [
            *_budget_line(budget),
            {
                "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1,
                "line": {"color": "--chart-floor", "width": 1.2, "dash": "dot"},
            }
        ],
    }  # fmt: skip


def _budget_line(budget: float | None) -> list[Figure]:
    if budget is None:
        return []
    line = {"color": "--chart-gpus", "width": 1.2, "dash": "dash"}
    return [{"type": "line", "yref": "paper", "x0": budget, "x1": budget, "y0": 0, "y1": 1,
             "line": line}]  # fmt: skip
