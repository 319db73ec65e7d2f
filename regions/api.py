"""HTTP API of the regions: topology, round trips with origin and age, where a request would be
served and why, weights of routes, drains. Null is unknown, never zero."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Field, Query, Router, Schema, Status

from infra_console.api.auth import require
from infra_console.api.problems import Problem
from infra_console.fleet.queries import list_clusters
from regions.core.errors import UnknownRegion
from regions.core.law import Refusal, residency_from
from regions.deciding import UnknownModel, decide
from regions.models import Drain, RouteLook
from regions.queries import region_states, rtt_table
from regions.route_queries import RouteRow, last_look, route_table
from regions.routers import RULES
from regions.services import ask_for_routes, drain, open_again
from regions.what_if import what_if

router = Router()


class RegionOut(Schema):
    """`lost` is as of the newest look at the routes; null where nobody has looked."""

    id: str
    place: str
    latitude: float
    longitude: float
    jurisdiction: str
    clusters: list[str]
    state: str
    age_s: float | None
    gpus: int | None
    utilisation: float | None
    rps: float | None
    ttft_p95_ms: float | None
    worst_slo_ratio: float | None
    worst_slo_model: str
    problem: str
    lost: bool | None
    drained: bool


class Topology(Schema):
    looked_at: datetime | None
    items: list[RegionOut]


class TripOut(Schema):
    """`origin` is `probe`, `matrix` (imported) or `estimate` (great circle), which has no age."""

    source: str
    target: str
    ms: float
    origin: str
    age_s: float | None


class RoundTrips(Schema):
    regions: list[str]
    items: list[TripOut]
    counts: dict[str, int]
    problems: list[str]
    imported_from: str
    measured_at: datetime | None


class ChoiceOut(Schema):
    """Milliseconds by part; prices steer and are not waited for."""

    region: str
    network_ms: float
    wait_ms: float
    prefill_ms: float
    price_ms: float
    expected_ms: float
    cached_tokens: int


class CandidateOut(Schema):
    region: str
    choice: ChoiceOut | None
    why_not: str


class RefusalOut(Schema):
    code: str
    reason: str
    retry_after_s: float | None


class DecisionOut(Schema):
    """Exactly one of `choice` and `refusal` is set; `notes` say what was not known."""

    choice: ChoiceOut | None
    refusal: RefusalOut | None
    candidates: list[CandidateOut]
    notes: list[str]
    lost_seen_at: datetime | None


class ShareOut(Schema):
    region: str
    now_percent: int
    proposed_percent: int | None


class WeightOut(Schema):
    cluster: str
    model: str
    residency: str
    rps: float | None
    owners: str
    unmet: str
    shares: list[ShareOut]


class PlanOut(Schema):
    id: str
    number: int
    state: str


class Weights(Schema):
    """The newest look; `waits` while somebody's question is open."""

    seen_at: datetime | None
    is_old: bool
    waits: bool
    problem: str
    plan: PlanOut | None
    items: list[WeightOut]
    reasons: dict[str, str]
    lost: list[str]
    notes: list[str]


class DrainOut(Schema):
    region: str
    by: str
    at: datetime
    reason: str


class Drains(Schema):
    items: list[DrainOut]


class DrainIn(Schema):
    reason: Annotated[str, Field(max_length=250)]


class AskedOut(Schema):
    asked_at: datetime
    asked_by: str


@router.get("/topology", response=Topology)
def topology(request: HttpRequest) -> dict[str, Any]:
    """Every region of the fleet with its clusters and what is known of it now."""
    require(request, "view")
    seen_at, lost = last_look()
    clusters = [(c.region_id, c.id) for c in list_clusters()]
    drained = set(Drain.objects.values_list("region", flat=True))
    plain = [name for name in RegionOut.model_fields if name not in {"clusters", "lost", "drained"}]
    items = [
        {name: getattr(state, name) for name in plain}
        | {
            "clusters": [c for region, c in clusters if region == state.id],
            "lost": None if seen_at is None else state.id in lost,
            "drained": state.id in drained,
        }
        for state in region_states()
    ]
    return {"looked_at": seen_at, "items": items}


@router.get("/round-trips", response=RoundTrips)
def round_trips(request: HttpRequest) -> dict[str, Any]:
    """The matrix: every ordered pair with the best that is known of it."""
    require(request, "view")
    table = rtt_table()
    items = [
        {"source": row.origin, "target": target, **asdict(trip)}
        for row in table.rows
        for target, trip in zip(table.regions, row.trips, strict=True)
        if trip is not None
    ]
    imported = table.imported
    return {
        "regions": table.regions, "items": items, "counts": table.counts,
        "problems": table.problems, "imported_from": imported.source if imported else "",
        "measured_at": imported.measured_at if imported else None,
    }  # fmt: skip


@router.get("/decision", response=DecisionOut)
def decision(
    request: HttpRequest, origin: str = "", model: str = "", residency: str = "",
    prompt_tokens: Annotated[int, Query(ge=1, le=1_000_000)] = RULES.prompt_tokens,
) -> dict[str, Any]:  # fmt: skip
    """Where a request that enters in `origin` would be served, with every region's reason.

    `residency` is jurisdictions by commas, or `anywhere`; it is never assumed.
    """
    require(request, "view")
    try:
        made = decide(origin, model, residency_from(residency), prompt_tokens=prompt_tokens)
    except (UnknownRegion, UnknownModel) as err:
        raise Problem(404, "not-found", str(err)) from err
    refused = isinstance(made.answer, Refusal)
    return {
        "choice": None if refused else made.answer,
        "refusal": made.answer if refused else None,
        "candidates": made.candidates, "notes": made.notes, "lost_seen_at": made.lost_seen_at,
    }  # fmt: skip


@router.get("/what-if", response=dict[str, Any])
def lose_region(request: HttpRequest, lost: str = "", rule: str = "jurisdiction") -> dict[str, Any]:
    """Who would serve what a lost region serves now, as the page's question says."""
    require(request, "view")
    found = what_if(lost, rule)
    if found.result is None:
        raise Http404
    receivers = [asdict(one) | {"share": one.share} for one in found.receivers]
    return {"lost": found.lost, "rule": found.rule, "result": asdict(found.result),
            "receivers": receivers}  # fmt: skip


@router.get("/weights", response=Weights)
def weights(request: HttpRequest) -> dict[str, Any]:
    """Each route's weights as the newest look saw them, beside those proposed."""
    require(request, "view")
    table = route_table()
    plain = ("seen_at", "is_old", "waits", "problem", "lost", "notes")
    plan = table.plan
    return {name: getattr(table, name) for name in plain} | {
        "plan": {"id": str(plan.id), "number": plan.number, "state": plan.state} if plan else None,
        "items": [_weight(row) for row in table.rows],
        "reasons": dict(table.reasons),
    }


@router.post("/weights/propose", response={202: AskedOut})
def propose(request: HttpRequest) -> Status[RouteLook]:
    """Have a worker look at every route and propose what would change, in the caller's name."""
    return Status(202, ask_for_routes(by=require(request, "plan.propose")))


@router.get("/drains", response=Drains)
def list_drains(request: HttpRequest) -> dict[str, Any]:
    require(request, "view")
    return {"items": list(Drain.objects.order_by("region"))}


@router.put("/drains/{region}", response=DrainOut)
def drain_region(request: HttpRequest, region: str, why: DrainIn) -> Drain:
    """Give a region nothing new from the next proposal on; the caller is an author of that plan."""
    user = require(request, "plan.propose")
    if not why.reason.strip():
        raise Problem(422, "invalid", "Say why: the reason stands beside the drain.")
    try:
        return drain(region, by=user, reason=why.reason)
    except UnknownRegion as err:
        raise Problem(404, "not-found", f"The fleet has no region {region!r}.") from err


@router.delete("/drains/{region}", response={204: None})
def open_region(request: HttpRequest, region: str) -> Status[None]:
    """Let a drained region be given requests again; one that is not drained stays so."""
    open_again(region, by=require(request, "plan.propose"))
    return Status(204, None)


def _weight(row: RouteRow) -> dict[str, Any]:
    plain = ("cluster", "model", "residency", "rps", "owners", "unmet")
    names = ("region", "now_percent", "proposed_percent")
    shares = [dict(zip(names, share, strict=True)) for share in row.shares]
    return {name: getattr(row, name) for name in plain} | {"shares": shares}
