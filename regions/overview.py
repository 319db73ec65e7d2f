"""The regions' part of the first page: a map so small that it needs no chart library."""

from dataclasses import dataclass

from django.urls import reverse

from infra_console.overview.cards import Alert, Card
from infra_console.overview.looks import slo_look
from infra_console.overview.scope import Scope
from regions.queries import RegionState, is_known, region_states

WIDTH, HEIGHT = 360.0, 180.0  # one unit a degree, plate carrée


@dataclass(frozen=True, slots=True)
class Dot:
    """A region on the thumbnail, in the map's own units, with what its tooltip says."""

    x: float
    y: float
    tone: str
    title: str


def map_card(scope: Scope) -> Card:
    """The regions of the scope as dots, and those that do not answer as alerts."""
    regions = region_states(only=scope.region)
    page = reverse("regions:index") + scope.query()
    silent = [r for r in regions if r.problem]
    return Card(
        key="map",
        template="regions/card.html",
        context={"dots": [_dot(r) for r in regions], "regions": regions},
        place="side",
        live_kinds="fleet",
        alerts=tuple(
            Alert("lost", f"{r.id} does not answer: its GPUs count as unknown", page)
            for r in silent
        ),
    )


def _dot(region: RegionState) -> Dot:
    ratio = region.worst_slo_ratio if is_known(region) else None
    look = slo_look(ratio)
    said = "p95 unknown" if ratio is None else f"p95 {ratio:.2f} × SLO, {look.word}"
    return Dot(
        x=region.longitude + WIDTH / 2,
        y=HEIGHT / 2 - region.latitude,
        tone=look.tone,
        title=f"{region.id}, {region.place}: {said}; {region.state}",
    )
