"""HTTP API of the tiers: their state, the last cycles, a cycle now; pages add theirs."""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from infra_console.api.auth import require
from infra_console.api.pagination import Limit
from tiers import queries, services
from tiers.forecast_api import router as forecast_router
from tiers.page_api import router as page_router

router = Router()
router.add_router("", page_router)
router.add_router("", forecast_router)


class TierOut(Schema):
    """One tier in a scope; null is unknown, and `partial` makes totals "at least"."""

    tier: str
    region: str
    nodes: int | None
    nodes_moving: int | None
    gpus: int | None
    gpus_ready: int | None
    held_gpus: int | None
    busy_gpus: float | None
    pending_gpus: int | None
    floor_gpus: int | None
    headroom_gpus: int | None
    utilisation: float | None
    worst_slo_ratio: float | None
    worst_slo_model: str
    age_s: float | None
    state: str
    partial: bool


class TierWithRegions(TierOut):
    regions: list[TierOut]


class Tiers(Schema):
    items: list[TierWithRegions]
    ledger: dict[str, int] = Field(description="GPUs by ledger state; they sum to the fleet")


class CycleOut(Schema):
    id: UUID
    started_at: datetime
    finished_at: datetime | None
    state: str
    stage: str
    requested_by: str
    verdict: str


class Cycles(Schema):
    items: list[CycleOut]


class Accepted(Schema):
    accepted: bool


@router.get("/summary", response=Tiers)
def summary(request: HttpRequest, region: str = "", tier: str = "") -> dict[str, Any]:
    """The tiers of the scope and the ledger; no items before the first observation."""
    require(request, "view")
    found = queries.tier_summaries(region=region, tier=tier)
    return {
        "items": [{**_tier(t), "regions": [_tier(r) for r in t.regions]} for t in found],
        "ledger": queries.ledger_summary(region=region),
    }


def _tier(summary: queries.TierSummary) -> dict[str, Any]:
    return {**asdict(summary), "headroom_gpus": summary.headroom_gpus}


@router.get("/cycles", response=Cycles)
def cycles(request: HttpRequest, limit: Limit = 20) -> dict[str, Any]:
    """The last cycles, newest first; three days are kept."""
    require(request, "view")
    return {"items": queries.list_cycles(limit)}


@router.post("/cycles", response={202: Accepted})
def request_cycle(request: HttpRequest) -> Status[dict[str, bool]]:
    """Run a cycle now; the caller becomes an author of the plans it proposes."""
    user = require(request, "plan.propose")
    services.request_cycle(by=user.get_username())
    return Status(202, {"accepted": True})
