"""Reads of who is who."""

from infra_console.fleet.config import FleetConfig
from infra_console.fleet.models import Cluster, FleetSetting, Region

DEFAULT_TIER_KEY = "infra-console.dev/tier"


def current_fleet() -> FleetConfig | None:
    """The fleet file as last applied, or None before the first `fleet_apply`."""
    setting = FleetSetting.objects.filter(id=1).first()
    return FleetConfig.model_validate(setting.document) if setting else None


def tier_key() -> str:
    """The node label that tells a node's tier: the operator's own, or ours where none is named."""
    fleet = current_fleet()
    return fleet.tiers.label_key if fleet else DEFAULT_TIER_KEY


def list_regions() -> list[Region]:
    return list(Region.objects.all())


def list_clusters(*, region_id: str | None = None) -> list[Cluster]:
    clusters = Cluster.objects.select_related("region")
    return list(clusters.filter(region_id=region_id) if region_id else clusters)
