"""The regions map as a plain Plotly document; colours by role, see static/css/console.css."""

from collections.abc import Sequence
from typing import Any

from regions.queries import RegionState, is_known

Figure = dict[str, Any]

# Cividis, which colour-blind eyes read as sighted ones do: dark is far within the SLO.
SCALE = [
    [0.0, "#00224e"], [0.25, "#404c6b"], [0.5, "#7c7b78"], [0.75, "#bbae6c"], [1.0, "#fee838"],
]  # fmt: skip
RATIO_TOP = 1.5
CLOSE_DEGREES = 14.0


def map_figure(regions: Sequence[RegionState], links: dict[str, str]) -> Figure:
    """One marker a region: coloured by its worst p95 over SLO, a hollow diamond where unknown.

    Args:
        links: the address each region's marker opens.
    """
    known = [r for r in regions if is_known(r)]
    unknown = [r for r in regions if not is_known(r)]
    data = [trace for trace in (_known(known, links), _unknown(unknown, links)) if trace["lat"]]
    return {"data": data, "layout": _layout(), "problem": "" if data else "No region is known yet."}


def _known(regions: Sequence[RegionState], links: dict[str, str]) -> Figure:
    ratios = [r.worst_slo_ratio for r in regions]
    marker = {
        "size": 17,
        "color": ratios,
        "colorscale": SCALE,
        "cmin": 0,
        "cmax": RATIO_TOP,
        "symbol": ["diamond" if ratio and ratio > 1 else "circle" for ratio in ratios],
        "line": {"color": "--card", "width": 1.5},
        "colorbar": {
            "title": {"text": "worst p95 / SLO", "side": "right"},
            "thickness": 12, "len": 0.7, "outlinewidth": 0, "tickvals": [0, 0.5, 1, 1.5],
            "ticktext": ["0", "0.5 ×", "1 ×", "≥ 1.5 ×"],
        },
    }  # fmt: skip
    return {**_places(regions, links), "name": "known", "marker": marker}


def _unknown(regions: Sequence[RegionState], links: dict[str, str]) -> Figure:
    marker = {
        "size": 16, "color": "--chart-none", "symbol": "x-thin-open",
        "line": {"width": 3, "color": "--chart-none"},
    }  # fmt: skip
    return {**_places(regions, links), "name": "unknown", "marker": marker}


def _places(regions: Sequence[RegionState], links: dict[str, str]) -> Figure:
    return {
        "type": "scattergeo",
        "mode": "markers+text",
        "lat": [r.latitude for r in regions],
        "lon": [r.longitude for r in regions],
        "text": [r.id for r in regions],
        "textposition": [_label_side(r, regions) for r in regions],
        "textfont": {"size": 11, "color": "--ink"},
        "customdata": [{"href": links[r.id]} for r in regions],
        "hovertext": [_words(r) for r in regions],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "showlegend": False,
    }


def _label_side(region: RegionState, regions: Sequence[RegionState]) -> str:
    """Away from a close neighbour, so that two labels do not cover each other."""
    for other in regions:
        east, north = region.longitude - other.longitude, region.latitude - other.latitude
        if other.id == region.id or abs(east) > CLOSE_DEGREES or abs(north) > CLOSE_DEGREES:
            continue
        if abs(north) > abs(east):
            return "top center" if north > 0 else "bottom center"
        return "middle right" if east > 0 else "middle left"
    return "bottom center"


def _words(region: RegionState) -> str:
    lines = [f"<b>{region.id}</b> · {region.place}"]
    if region.worst_slo_ratio is None:
        lines.append("p95 unknown")
    else:
        lines.append(f"{region.worst_slo_model}: {region.worst_slo_ratio:.2f} × its p95 limit")
    lines.append("requests unknown" if region.rps is None else f"{region.rps:.1f} requests/s")
    age = "never seen" if region.age_s is None else f"seen {region.age_s:.0f} s ago"
    return "<br>".join([*lines, f"{region.state}, {age}"])


def _layout() -> Figure:
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "--chart-ink", "size": 12},
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "hoverlabel": {"bgcolor": "--card", "font": {"color": "--ink"}},
        "geo": {
            "projection": {"type": "natural earth"},
            "bgcolor": "rgba(0,0,0,0)",
            "showframe": False,
            "showcoastlines": False,
            "showcountries": True,
            "countrycolor": "--card",
            "landcolor": "--chart-land",
            "showland": True,
            "showocean": True,
            "oceancolor": "--chart-sea",
            "showlakes": False,
            "lataxis": {"range": [-50, 72]},
        },
    }
