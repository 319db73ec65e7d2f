"""HTTP API of the data sources: where they are and how they are, never a credential."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from infra_console.api.auth import require
from infra_console.fleet.queries import list_clusters
from infra_console.telemetry.cards import SourceCard, source_cards
from infra_console.telemetry.pace import Use
from infra_console.telemetry.queries import fleet_freshness
from infra_console.telemetry.sources import current_sources

router = Router()


class SourceOut(Schema):
    """`declared` says where, empty when it is kept in the console. `problem` is null where it was
    not asked yet, else empty when it answers; `fetched` is the last minute's, null where not known.
    """

    id: str
    url: str
    flavour: str
    clusters: list[str]
    declared: str
    skip_verify: bool
    problem: str | None
    since: datetime | None
    checked_at: datetime | None
    budget: str
    fetched: Use | None
    pace: str
    rules: str = Field(description="what its loaded recording rules lack; empty: nothing known")


class Sources(Schema):
    """`unread` are clusters that no source reads: everything about them is unknown."""

    items: list[SourceOut]
    unread: list[str]


class ClusterFreshnessOut(Schema):
    cluster: str
    state: str
    age_s: float | None
    doubts: list[str]


class FreshnessOut(Schema):
    """The pill, and each cluster's part of it; `errors` are what silent sources said."""

    state: str
    age_s: float | None
    errors: dict[str, str]
    clusters: list[ClusterFreshnessOut]


@router.get("", response=Sources)
def sources(request: HttpRequest) -> dict[str, Any]:
    """Every source with its clusters, its health and what is fetched from it."""
    require(request, "view")
    owned = {cluster for source in current_sources() for cluster in source.clusters}
    return {
        "items": [_out(card) for card in source_cards()],
        "unread": [c.id for c in list_clusters() if c.id not in owned],
    }


def _out(card: SourceCard) -> dict[str, Any]:
    health = card.health
    open_parts = ("id", "url", "flavour", "declared", "skip_verify", "budget")
    return {name: getattr(card, name) for name in open_parts} | {
        "clusters": list(card.clusters),
        "problem": health.problem if health else None,
        "since": health.since if health else None,
        "checked_at": health.checked_at if health else None,
        "fetched": card.fetch.used if card.fetch else None,
        "pace": card.fetch.pace if card.fetch else "",
        "rules": health.rules if health else "",
    }


@router.get("/freshness", response=FreshnessOut)
def freshness(request: HttpRequest) -> dict[str, Any]:
    """How fresh the metrics are, overall and by cluster, with every doubt in words."""
    require(request, "view")
    seen = fleet_freshness()
    return {
        "state": seen.state,
        "age_s": seen.age_s,
        "errors": seen.errors,
        "clusters": [
            {"cluster": name, "state": c.state, "age_s": c.age_s, "doubts": list(c.doubts)}
            for name, c in seen.clusters.items()
        ],
    }
