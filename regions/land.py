"""The world's land as one SVG path, decoded from the TopoJSON file that the charts use too.

Format: https://github.com/topojson/topojson-specification (arcs are delta-encoded integers, a
negative index means the arc reversed).
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

Point = tuple[float, float]
HALF_WORLD = 180.0
MIN_POINTS = 8  # smaller islands are below a pixel on the thumbnail


@cache
def land_path() -> str:
    """SVG path data in degrees: x = longitude + 180, y = 90 − latitude. Empty without the file."""
    path = Path(settings.BASE_DIR) / "static" / "vendor" / "geo" / "world_110m.json"
    try:
        topology = json.loads(path.read_text())
    except OSError:
        return ""  # the dots alone still say where the regions are
    arcs = [list(_decode(arc, topology["transform"])) for arc in topology["arcs"]]
    rings = (_join(ring, arcs) for ring in _rings(topology["objects"]["land"]))
    return "".join(_svg(ring) for ring in rings if len(ring) >= MIN_POINTS)


def _decode(arc: Sequence[Sequence[int]], transform: dict[str, Any]) -> Iterator[Point]:
    (sx, sy), (tx, ty) = transform["scale"], transform["translate"]
    x = y = 0
    for dx, dy in arc:
        x, y = x + dx, y + dy
        yield x * sx + tx, y * sy + ty


def _rings(geometry: dict[str, Any]) -> Iterator[list[int]]:
    """Outer and inner rings alike: an even-odd fill tells them apart."""
    kind = geometry["type"]
    if kind == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _rings(part)
    elif kind == "Polygon":
        yield from geometry["arcs"]
    elif kind == "MultiPolygon":
        for polygon in geometry["arcs"]:
            yield from polygon


def _join(ring: Sequence[int], arcs: Sequence[Sequence[Point]]) -> list[Point]:
    points: list[Point] = []
    for index in ring:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        points += arc[1:] if points else arc
    return points


def _svg(points: Sequence[Point]) -> str:
    path, last_x = [], None
    for x, y in points[::2]:
        # A ring that crosses the antimeridian would draw a line across the whole map.
        jump = last_x is None or abs(x - last_x) > HALF_WORLD
        path.append(f"{'M' if jump else 'L'}{x + 180:.0f} {90 - y:.0f}")
        last_x = x
    return "".join(path)
