"""Operating points as a Plotly document; colours by role, see static/css/console.css."""

from collections.abc import Sequence
from typing import Any

from fabric.core.points import envelope
from fabric.queries import CollectionRow, IndexRow, effort_words

Figure = dict[str, Any]
COLOURS = ("--chart-busy", "--chart-asked", "--chart-operational", "--chart-forecast")
SYMBOLS = ("circle", "square", "diamond", "cross")


def points_figure(rows: Sequence[CollectionRow]) -> Figure:
    """Recall's lower bound against time: every point, and a line along those worth choosing."""
    measured = [(row, index) for row in rows for index in row.indexes if index.points]
    data = [
        trace
        for i, (row, index) in enumerate(measured)
        for trace in _traces(f"{row.collection.name} in {index.index.store}", index, i)
    ]
    targets = sorted({row.collection.target_recall for row in rows})
    problem = "" if data else "Nothing was measured yet."
    return {"data": data, "layout": _layout(targets), "problem": problem}


def _traces(name: str, row: IndexRow, i: int) -> list[Figure]:
    colour, symbol = COLOURS[i % len(COLOURS)], SYMBOLS[i % len(SYMBOLS)]
    best = envelope(row.points)
    return [
        {
            "type": "scatter", "mode": "markers", "name": name,
            "x": [p.mean_ms for p in row.points],
            "y": [p.recall_lower for p in row.points],
            "text": [effort_words(p.effort) for p in row.points],
            "customdata": [p.recall for p in row.points],
            "marker": {"color": colour, "symbol": symbol, "size": 8},
            "hovertemplate": "effort %{text}: recall %{customdata:.4f}, at least %{y:.4f}, "
                             "%{x:.2f} ms<extra>" + name + "</extra>",
        },
        {
            "type": "scatter", "mode": "lines", "showlegend": False, "hoverinfo": "skip",
            "x": [p.mean_ms for p in best], "y": [p.recall_lower for p in best],
            "line": {"color": colour, "width": 1.6, "shape": "hv"},
        },
    ]  # fmt: skip


def _layout(targets: Sequence[float]) -> Figure:
    axis = {"gridcolor": "--chart-grid", "zeroline": False}
    return {
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "--chart-ink", "size": 12},
        "margin": {"l": 60, "r": 16, "t": 8, "b": 44},
        "hoverlabel": {"bgcolor": "--card", "font": {"color": "--ink"}},
        "legend": {"orientation": "h", "y": 1.12},
        "xaxis": {**axis, "type": "log", "title": {"text": "mean ms a question"}},
        "yaxis": {**axis, "title": {"text": "recall@10, 95 % lower bound"}},
        "shapes": [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": t, "y1": t,
             "line": {"color": "--chart-floor", "width": 1.2, "dash": "dash"}}
            for t in targets
        ],
    }  # fmt: skip
