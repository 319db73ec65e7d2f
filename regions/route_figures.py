"""Traffic between regions on the map, and rings around regions that are lost or drained."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from regions.queries import RegionState
from regions.route_queries import Arc

WIDEST, THINNEST = 7.0, 1.2


def arc_traces(
    now: Sequence[Arc], then: Sequence[Arc], regions: Sequence[RegionState]
) -> list[dict[str, Any]]:
    """Great circles as wide as their requests: solid as it is, dotted as it is proposed."""
    places = {r.id: r for r in regions}
    most = max((arc.rps for arc in (*now, *then)), default=0.0)
    kinds = (
        (now, "flows now", "solid", "--chart-busy"),
        (then, "proposed", "dot", "--chart-asked"),
    )
    return [
        _arc(arc, places, name, dash, colour, most)
        for arcs, name, dash, colour in kinds
        for arc in arcs
        if arc.origin in places and arc.region in places
    ]


def ring_traces(
    lost: set[str], drained: set[str], regions: Sequence[RegionState]
) -> list[dict[str, Any]]:
    """Told by shape: a square around a lost region, a triangle around a drained one."""
    kinds = (("lost", lost, "square-open", "--chart-floor"),
             ("drained", drained, "triangle-up-open", "--chart-asked"))  # fmt: skip
    return list(_rings(kinds, regions))


def _arc(
    arc: Arc, places: Mapping[str, RegionState], name: str, dash: str, colour: str, most: float
) -> dict[str, Any]:
    ends = (places[arc.origin], places[arc.region])
    return {
        "type": "scattergeo",
        "mode": "lines",
        "lat": [end.latitude for end in ends],
        "lon": [end.longitude for end in ends],
        "name": name,
        "line": {"width": max(THINNEST, WIDEST * arc.rps / most), "color": colour, "dash": dash},
        "opacity": 0.7,
        "hoverinfo": "text",
        "text": f"{arc.origin} → {arc.region}: {arc.rps:.1f} requests/s, {name}",
        "showlegend": False,
    }


def _rings(kinds: Any, regions: Sequence[RegionState]) -> Iterator[dict[str, Any]]:
    for name, which, symbol, colour in kinds:
        held = [r for r in regions if r.id in which]
        if held:
            yield {
                "type": "scattergeo",
                "mode": "markers",
                "lat": [r.latitude for r in held],
                "lon": [r.longitude for r in held],
                "name": name,
                "marker": {"size": 26, "symbol": symbol, "line": {"width": 2.5}, "color": colour},
                "hoverinfo": "text",
                "text": [f"{r.id} is {name}" for r in held],
                "showlegend": False,
            }
