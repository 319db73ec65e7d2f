"""HTTP API of who is who: regions and clusters."""

from django.http import HttpRequest
from ninja import Router, Schema

from infra_console.api.auth import require
from infra_console.fleet.queries import list_clusters, list_regions

router = Router()


class RegionOut(Schema):
    id: str
    place: str
    latitude: float
    longitude: float
    jurisdiction: str
    utc_offset_hours: float


class ClusterOut(Schema):
    id: str
    context: str
    region_id: str


class Regions(Schema):
    items: list[RegionOut]


class Clusters(Schema):
    items: list[ClusterOut]


@router.get("/regions", response=Regions)
def regions(request: HttpRequest) -> dict[str, object]:
    """Every region; a fleet's few regions come in one page."""
    require(request, "view")
    return {"items": list_regions()}


@router.get("/clusters", response=Clusters)
def clusters(request: HttpRequest, region: str | None = None) -> dict[str, object]:
    """Every cluster, or one region's."""
    require(request, "view")
    return {"items": list_clusters(region_id=region)}
