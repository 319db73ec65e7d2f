"""Small light-coloured charts for mail, as plain Plotly documents, and their data as tables."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra_console.reports.sections import Column, Format, Picture, Table

Figure = dict[str, Any]
# Okabe and Ito's palette: colour-blind eyes tell its colours apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#555555")
DASHES = ("solid", "dash", "dot", "dashdot")
WIDTH, HEIGHT = 640, 280
TABLE_ROWS = 24


def lines(
    times: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    *,
    axis: str,
    percent: bool,
) -> Figure:
    """Values over time (epoch seconds); None is a gap."""
    at = [datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M") for t in times]
    data = [
        {
            "type": "scatter", "mode": "lines", "name": name, "x": at, "y": list(values),
            "connectgaps": False,
            "line": {
                "color": COLOURS[i % len(COLOURS)], "width": 2, "dash": DASHES[i % len(DASHES)],
            },
        }
        for i, (name, values) in enumerate(series.items())
    ]  # fmt: skip
    yaxis = {"title": {"text": axis}, "rangemode": "tozero"}
    return {"data": data, "layout": _layout(yaxis | ({"tickformat": ".0%"} if percent else {}))}


def ranges(
    names: Sequence[str],
    low: Sequence[float | None],
    middle: Sequence[float | None],
    high: Sequence[float | None],
    *,
    axis: str,
) -> Figure:
    """One row a name: a line from low to high with its middle as a point."""
    reach = [None if a is None or b is None else b - a for a, b in zip(low, high, strict=True)]
    span = {
        "type": "bar", "orientation": "h", "name": "from low to high", "y": list(names),
        "x": reach, "base": list(low), "marker": {"color": "#9CC9E3"}, "width": 0.35,
    }  # fmt: skip
    point = {
        "type": "scatter", "mode": "markers", "name": "median", "y": list(names),
        "x": list(middle), "marker": {"color": COLOURS[0], "size": 9},
    }  # fmt: skip
    layout = _layout({"automargin": True, "autorange": "reversed"})
    layout |= {"xaxis": layout["xaxis"] | {"title": {"text": axis}, "rangemode": "tozero"}}
    layout |= {"height": max(HEIGHT, 90 + 24 * len(names))}
    return {"data": [span, point], "layout": layout}


def _layout(yaxis: Figure) -> Figure:
    plain = {"gridcolor": "#E3E6EA", "zeroline": False, "linecolor": "#9AA3AD"}
    return {
        "width": WIDTH, "height": HEIGHT, "paper_bgcolor": "#FFFFFF", "plot_bgcolor": "#FFFFFF",
        "font": {"family": "DejaVu Sans, Arial, sans-serif", "size": 12, "color": "#1F2933"},
        "margin": {"l": 62, "r": 16, "t": 12, "b": 40}, "template": None,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": dict(plain), "yaxis": plain | yaxis,
    }  # fmt: skip


def as_table(picture: Picture) -> Table:
    """The picture's numbers, thinned to TABLE_ROWS evenly spaced points."""
    traces = [t for t in picture.figure.get("data", ()) if t.get("x") is not None]
    across = any(t.get("orientation") == "h" for t in traces)
    key, value = ("y", "x") if across else ("x", "y")
    names = traces[0][key] if traces else []
    keep = range(0, len(names), max(1, -(-len(names) // TABLE_ROWS)))
    tick = picture.figure.get("layout", {}).get("yaxis", {}).get("tickformat", "")
    shown: Format = "percent" if tick.endswith("%") else "number"
    columns, cells = [Column(title="")], [[name] for name in names]
    for trace in traces:
        starts = trace.get("base")
        if starts is not None:
            columns += [Column(title="low", format=shown), Column(title="high", format=shown)]
            for row, low, reach in zip(cells, starts, trace[value], strict=False):
                row += [low, None if low is None or reach is None else low + reach]
        else:
            columns.append(Column(title=str(trace.get("name", "")), format=shown))
            for row, one in zip(cells, trace[value], strict=False):
                row.append(one)
    rows = tuple(tuple(cells[i]) for i in keep)
    return Table(title=picture.title, columns=tuple(columns), rows=rows)
