"""Reads of who is who."""

import logging

from pydantic import ValidationError

from infra_console.fleet.config import STORED, FleetConfig, problems_of
from infra_console.fleet.models import Cluster, FleetSetting, Region

log = logging.getLogger(__name__)
DEFAULT_TIER_KEY = "infra-console.dev/tier"


def current_fleet() -> FleetConfig | None:
    """The fleet file as last applied, or None before the first `fleet_apply`.

    A document that cannot be read at all is none, too; `fleet_refusals` says why.
    """
    setting = FleetSetting.objects.filter(id=1).first()
    if setting is None:
        return None
    try:
        return FleetConfig.model_validate(setting.document, context=STORED)
    except ValidationError as err:
        log.error("The applied fleet file cannot be read: %s", problems_of(err))
        return None


def fleet_refusals() -> str:
    """What today's rules refuse of the applied fleet file, or an empty string."""
    setting = FleetSetting.objects.filter(id=1).first()
    if setting is None:
        return ""
    try:
        FleetConfig.model_validate(setting.document)
    except ValidationError as err:
        return problems_of(err)
    return ""


def tier_key() -> str:
    """The node label that tells a node's tier: the operator's own, or ours where none is named."""
    fleet = current_fleet()
    return fleet.tiers.label_key if fleet else DEFAULT_TIER_KEY


def list_regions() -> list[Region]:
    return list(Region.objects.all())


def list_clusters(*, region_id: str | None = None) -> list[Cluster]:
    clusters = Cluster.objects.select_related("region")
    return list(clusters.filter(region_id=region_id) if region_id else clusters)
