"""HTTP API of demand and supply: the demand page as a document."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from infra_console.api.auth import require
from tiers.demand_document import demand_document
from tiers.demand_queries import demand_page

router = Router()


class LiveOut(Schema):
    arrivals_rps: float | None
    refused_rps: float | None
    waiting: float | None
    backlog_rps: float | None
    wanted_rps: float | None
    prompt_tokens_per_s: float | None
    output_tokens_per_s: float | None
    tokens_per_request: float | None
    age_s: float | None
    why: list[str]


class ThroughputOut(Schema):
    """What one GPU serves at the objective; tokens are prompt and output together."""

    requests_per_s: float | None
    tokens_per_s: float | None
    origin: str = Field(description="measured, profile or fleet file")
    at: datetime | None
    age_s: float | None
    words: str


class NeedOut(Schema):
    gpus: float | None
    groups: int | None
    at_least: bool
    why: list[str]


class BandOut(Schema):
    at: datetime
    p5: float
    p50: float
    p95: float


class CorrectionOut(Schema):
    """What live queues asked for beyond the last plan; in force until the next one."""

    at: datetime
    wanted_rps: float
    planned_rps: float
    gpus: float
    arrivals_rps: float
    waiting: float | None
    refused_rps: float | None
    words: str


class DemandRowOut(Schema):
    region: str
    cluster: str
    workload: str
    model: str
    tier: str
    gpu_type: str
    live: LiveOut | None
    throughput: ThroughputOut | None
    need: NeedOut
    held_gpus: int | None
    forecast: list[BandOut]
    correction: CorrectionOut | None


class TierNeedOut(Schema):
    region: str
    tier: str
    gpus: float | None = Field(description="null where a part is unknown; see known_gpus, missing")
    known_gpus: float | None
    missing: list[str]
    at_least: bool
    held_gpus: float | None


class GangOut(Schema):
    cluster: str
    name: str
    tier: str
    state: str
    gpus: int
    priority: int | None
    since: datetime
    told: bool = Field(description="whether the cluster said since when; else first seen then")
    ends_by: datetime | None
    basis: str
    plan: str = Field(description="what the last cycle found about one that waits; else empty")


class SupplyNowOut(Schema):
    gpus: int
    spot_gpus: int
    broken_gpus: int
    gpus_per_node: int


class SupplyStepOut(Schema):
    at: datetime
    low: float
    expected: float
    high: float


class ComingOut(Schema):
    at: datetime
    gpus: int
    why: str


class SupplyOut(Schema):
    region: str
    gpu_type: str
    now: SupplyNowOut | None
    steps: list[SupplyStepOut]
    calendar: list[ComingOut]
    why: list[str]


class RateOut(Schema):
    per_hour: float
    origin: str
    events: int
    gpu_hours: float


class RatesOut(Schema):
    failures: RateOut
    repairs: RateOut
    spot: RateOut


class UnknownOut(Schema):
    where: str
    words: str


class DemandOut(Schema):
    schema_: str = Field(alias="schema", default="demand/1")
    seen_at: datetime | None
    backlog_worked_off_in_s: float | None = None
    rows: list[DemandRowOut] = Field(default_factory=list)
    tiers: list[TierNeedOut] = Field(default_factory=list)
    gangs: list[GangOut] = Field(default_factory=list)
    supply: list[SupplyOut] = Field(default_factory=list)
    rates: RatesOut | None = None
    unknown: list[UnknownOut] = Field(default_factory=list)


@router.get("", response=DemandOut, by_alias=True)
def demand(request: HttpRequest, region: str = "", tier: str = "") -> dict[str, Any]:
    """What the scope needs now and next, and its supply; empty before the first observation."""
    require(request, "view")
    page = demand_page(region=region, tier=tier, now=timezone.now())
    return demand_document(page) if page else {"schema": "demand/1", "seen_at": None}
