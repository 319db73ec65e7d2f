"""HTTP API of the tiers' pages, read-only: ledger, waiting work, handover, prices, places,
adoption, frontier. Each answers what its page shows, under the page's right; null is unknown."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema

from infra_console.api.auth import require
from infra_console.fleet.models import PoolPrice
from tiers import adopting, ledger_queries
from tiers.core.adoption import Adoption, adopt
from tiers.core.contract import ContractLine
from tiers.core.costs import CostRow
from tiers.core.ledger import LedgerState
from tiers.core.ledger_table import GROUPS, LedgerRow, LotRow
from tiers.core.shortages import Shortage, SupplyChange
from tiers.cost_queries import BYS, CostPage, cost_page
from tiers.frontier_pages import frontier_view
from tiers.handover import Deed, deeds, fleet_changes, since_of
from tiers.models import PlacementCheck
from tiers.outlook import outlook
from tiers.queries import clusters_in

router = Router()


class LedgerOut(Schema):
    """`totals` are GPUs by state and sum to `fleet`, or `difference` says what does not."""

    seen_at: datetime | None
    fleet: int | None
    totals: dict[str, int]
    difference: str
    unread: list[str]
    rows: list[LedgerRow]
    lots: list[LotRow]
    more_lots: int
    contract: list[ContractLine]
    not_started: int


class WaitingOut(Schema):
    cluster: str
    namespace: str
    name: str
    tier: str
    gpus: int
    reason: str
    words: str
    since: datetime
    since_told: bool
    starts_by: datetime | None


class Waiting(Schema):
    items: list[WaitingOut]


class ChangeOut(Schema):
    at: datetime
    cluster: str
    kind: str
    object: str
    words: str
    plan: int | None


class UnknownOut(Schema):
    cluster: str
    tier: str
    what: str


class Handover(Schema):
    """`more_…` say that there is more than is told; the lists ahead are empty before any look."""

    since: datetime
    deeds: list[Deed]
    more_deeds: bool
    changes: list[ChangeOut]
    more_changes: bool
    short: list[Shortage]
    calendar: list[SupplyChange]
    unknown: list[UnknownOut]


class PriceOut(Schema):
    usd_per_gpu_hour: float | None
    valid_from: date
    source: str


class PoolOut(Schema):
    id: str
    purchase: str
    gpus: int
    usd_per_gpu_hour: float | None
    history: list[PriceOut]


class Prices(Schema):
    """US dollars an hour by group; `tokens_problem` says why prices of tokens are unknown."""

    rows: list[CostRow]
    total: CostRow | None
    pools: list[PoolOut]
    tokens_problem: str


class PlaceOut(Schema):
    """`rows` are workloads on places that would not take them, with each obstacle's stanza."""

    cluster: str
    at: datetime
    problem: str
    rows: list[dict[str, Any]]


class Places(Schema):
    items: list[PlaceOut]
    unchecked: list[str]


class AdoptionOut(Schema):
    """The last first look, or null; `proposal` is the fleet file that would describe it."""

    looked_at: datetime | None
    looked_by: str
    found: Adoption | None
    proposal: str


class FrontierOut(Schema):
    """`report` is that of `frontier --json`, of the last planned snapshot under the assumptions."""

    at: datetime | None
    assumptions: dict[str, Any]
    report: dict[str, Any] | None


_NOTHING_SEEN: dict[str, Any] = {
    "seen_at": None, "fleet": None, "totals": {}, "difference": "", "unread": [], "rows": [],
    "lots": [], "more_lots": 0, "contract": [], "not_started": 0,
}  # fmt: skip


@router.get("/ledger", response=LedgerOut)
def ledger(
    request: HttpRequest, by: str = GROUPS[0], region: str = "", state: LedgerState | None = None
) -> dict[str, Any]:
    """Every GPU in one state; `lots` are those that do nothing and should, or those of `state`."""
    require(request, "view")
    by = by if by in GROUPS else GROUPS[0]
    page = ledger_queries.ledger_page(by=by, region=region, state=state or "")
    if page is None:
        return _NOTHING_SEEN
    return {name: getattr(page, name) for name in LedgerOut.model_fields}


@router.get("/waiting", response=Waiting)
def waiting(request: HttpRequest, region: str = "", tier: str = "") -> dict[str, Any]:
    """Work that waits for GPUs, longest first, with its reason."""
    require(request, "view")
    return {"items": ledger_queries.waiting_work(region=region, tier=tier)}


@router.get("/handover", response=Handover)
def handover(
    request: HttpRequest, since: str = "", region: str = "", tier: str = ""
) -> dict[str, Any]:
    """What changed since an hour (eight hours ago), and what runs short in twelve."""
    require(request, "view")
    now = timezone.now()
    begin = since_of(since, now=now)
    done, more_done = deeds(since=begin, region=region)
    changed, more_changed = fleet_changes(since=begin, region=region)
    ahead = outlook(region=region, tier=tier, now=now)
    return {
        "since": begin, "deeds": done, "more_deeds": more_done, "changes": changed,
        "more_changes": more_changed,
        "short": ahead.short if ahead else [],
        "calendar": ahead.calendar if ahead else [],
        "unknown": [
            dict(zip(("cluster", "tier", "what"), gap, strict=True))
            for gap in (ahead.unknown if ahead else [])
        ],
    }  # fmt: skip


@router.get("/prices", response=Prices)
def prices(request: HttpRequest, by: str = BYS[0], region: str = "") -> dict[str, Any]:
    """What the fleet costs an hour by model, tier, region or team, and the price book."""
    require(request, "view")
    wanted = next((b for b in BYS if b == by), BYS[0])
    page = cost_page(by=wanted, region=region, now=timezone.now())
    page = page or CostPage(rows=[], total=None, pools=[], tokens_problem="nothing was seen yet")
    return {
        "rows": page.rows, "total": page.total, "tokens_problem": page.tokens_problem,
        "pools": [
            {"id": p.id, "purchase": p.purchase, "gpus": p.gpus,
             "usd_per_gpu_hour": p.price.usd_per_gpu_hour,
             "history": [_price(row) for row in p.history]}
            for p in page.pools
        ],
    }  # fmt: skip


def _price(row: PoolPrice) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PriceOut.model_fields}


@router.get("/places", response=Places)
def places(request: HttpRequest, region: str = "") -> dict[str, Any]:
    """Which workloads could not run where, as last checked; clusters not checked by name."""
    require(request, "view")
    clusters = clusters_in(region)
    checks = list(PlacementCheck.objects.filter(cluster__in=clusters))
    return {
        "items": checks,
        "unchecked": sorted(set(clusters) - {check.cluster for check in checks}),
    }


@router.get("/adoption", response=AdoptionOut)
def adoption(request: HttpRequest) -> dict[str, Any]:
    """What the last first look found, what no rule places, and the proposed fleet file."""
    require(request, "view")
    look = adopting.last_look()
    if look is None:
        return {"looked_at": None, "looked_by": "", "found": None, "proposal": ""}
    found, looked_at, looked_by = look
    rules = adopting.current_rules()
    result = adopt(found, rules)
    proposal = adopting.proposal_of(found, result, rules)
    return {
        "looked_at": looked_at, "looked_by": looked_by, "found": result, "proposal": proposal,
    }  # fmt: skip


@router.get("/frontier", response=FrontierOut)
def frontier(request: HttpRequest) -> dict[str, Any]:
    """The latency-cost frontier; `demand`, `slo`, `spot`, `lost` and `others` as on its page."""
    require(request, "view")
    view = frontier_view(request.GET)
    if view is None:
        return {"at": None, "assumptions": {}, "report": None}
    return {"at": view.at, "assumptions": asdict(view.what_if), "report": view.report}
