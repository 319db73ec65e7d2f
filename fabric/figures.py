"""Operating points as a Plotly document; colours by role, see static/css/console.css."""

from collections.abc import Sequence
from typing import Any

from fabric.queries import CollectionRow, IndexRow, effort_words

Figure = dict[str, Any]
COLOURS = ("--chart-busy", "--chart-asked", "--chart-operational", "--chart-forecast")
SYMBOLS = ("circle", "square", "diamond", "cross")


def points_figure(rows: Sequence[CollectionRow]) -> Figure:
    """Recall's lower bound against time, a line for each index, with the targets."""
    data = [
        _line(f"{row.collection.name} in {index.index.store}", index, i)
        for i, (row, index) in enumerate((r, x) for r in rows for x in r.indexes if x.points)
    ]
    targets = sorted({row.collection.target_recall for row in rows})
    problem = "" if data else "Nothing was measured yet."
    return {"data": data, "layout": _layout(targets), "problem": problem}


def _line(name: str, row: IndexRow, i: int) -> Figure:
    points = sorted(row.points, key=lambda p: p.mean_ms)
    return {
        "type": "scatter", "mode": "lines+markers", "name": name,
        "x": [p.mean_ms for p in points],
        "y": [p.recall_lower for p in points],
        "text": [effort_words(p.effort) for p in points],
        "customdata": [p.recall for p in points],
        "line": {"color": COLOURS[i % len(COLOURS)], "width": 1.6},
        "marker": {"color": COLOURS[i % len(COLOURS)], "symbol": SYMBOLS[i % len(SYMBOLS)],
                   "size": 8},
        "hovertemplate": "effort %{text}: recall %{customdata:.4f}, at least %{y:.4f}, "
                         "%{x:.2f} ms<extra>" + name + "</extra>",
    }  # fmt: skip


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
