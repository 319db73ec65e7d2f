"""Reads of the ledger for its page, command and API."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from infra_console.fleet.models import Reservation
from tiers.core.contract import ContractLine, PoolSeen, Reserved, contract_lines, gpus_not_started
from tiers.core.ledger_table import LedgerRow, LotRow, ledger_table, sum_difference, totals
from tiers.facts import FleetFacts
from tiers.models import ClusterLook, LedgerLot, WaitingWork
from tiers.queries import clusters_in, current_facts, latest_observation
from tiers.waiting_gangs import gang_id, latest_words

NOT_STARTED = "reserved-not-started"
MOST_LOTS = 200


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """The ledger of one scope. `fleet` is the GPUs as observed; `difference` says what does not
    add up to it; `unread` are clusters of which nothing is known."""

    rows: list[LedgerRow]
    totals: Mapping[str, int]
    fleet: int
    difference: str
    unread: tuple[str, ...]
    lots: list[LotRow]
    more_lots: int
    contract: list[ContractLine]
    not_started: int
    seen_at: datetime | None


def ledger_page(
    *, by: str, region: str = "", state: str = "", now: datetime | None = None
) -> LedgerPage | None:
    """The ledger of a region or the whole fleet; None before the first observation."""
    observation, facts = latest_observation(), current_facts()
    if observation is None or facts is None:
        return None
    moment = now or datetime.now(UTC)
    clusters = set(clusters_in(region))
    seen = {c: v for c, v in observation.document["clusters"].items() if c in clusters}
    lots = ledger_lots(seen)
    wanted = [lot for lot in lots if lot.state == state] if state else _wanting(lots)
    reserved = reservations()
    pools = _pools_seen(facts, clusters, lots, seen)
    later = gpus_not_started(_in_scope(reserved, pools, region), now=moment)
    return LedgerPage(
        rows=ledger_table(lots, by=by),
        totals=totals(lots),
        fleet=sum(v["gpus"] or 0 for v in seen.values()),
        difference=sum_difference(lots, {c: v["gpus"] for c, v in seen.items()}),
        unread=tuple(sorted(c for c, v in seen.items() if v["gpus"] is None)),
        lots=wanted[:MOST_LOTS],
        more_lots=max(0, len(wanted) - MOST_LOTS),
        contract=contract_lines(_in_scope(reserved, pools, region), pools, now=moment),
        not_started=later,
        seen_at=observation.at,
    )


def ledger_lots(seen: Mapping[str, Any]) -> list[LotRow]:
    """The standing lots of these clusters, oldest first; those of a silent cluster are unknown
    since it was last seen."""
    rows = []
    looks = dict(ClusterLook.objects.values_list("cluster", "document"))
    for lot in LedgerLot.objects.filter(until=None, cluster__in=list(seen)):
        row = LotRow(
            cluster=lot.cluster, node=lot.node, pool=lot.pool, block=lot.block, owner=lot.owner,
            tier=lot.tier, gpu_type=lot.gpu_type, state=lot.state, gpus=lot.gpus, since=lot.since,
            workload=lot.workload, why=_why(lot, looks.get(lot.cluster)),
        )  # fmt: skip
        entry = seen[lot.cluster]
        if not entry["reachable"]:
            since = datetime.fromisoformat(entry["seen_at"]) if entry["seen_at"] else None
            row = replace(row, state="unknown", owner="", since=since)
        rows.append(row)
    return rows


def _why(lot: LedgerLot, look: Mapping[str, Any] | None) -> str:
    """What the last look says of GPUs that are no supply."""
    node = (look or {}).get("nodes", {}).get(lot.node)
    if node is None:
        return ""
    if lot.state == "foreign-cordoned":
        return str(node["foreign"])
    if lot.state != "broken":
        return ""
    if not node["ready"]:
        return "the node is not Ready"
    return str(node["sick"]) or f"{node['offered']} of {node['gpus']} GPUs are offered"


def _wanting(lots: list[LotRow]) -> list[LotRow]:
    """Lots that do nothing and should: those of free GPUs that nobody asks for left out."""
    return [
        lot
        for lot in lots
        if lot.state in {"broken", "foreign-cordoned", "free-stranded", "idle-allocated", "unknown"}
    ]


def reservations() -> list[Reserved]:
    """The contract list as imported."""
    return [
        Reserved(r.id, r.start, r.end, r.gpus, r.pool, r.cluster, r.gpu_type)
        for r in Reservation.objects.all()
    ]


def _pools_seen(
    facts: FleetFacts, clusters: set[str], lots: list[LotRow], seen: Mapping[str, Any]
) -> list[PoolSeen]:
    held = Counter[str]()
    for lot in lots:
        held[lot.pool] += lot.gpus
    return [
        PoolSeen(
            p.id, p.cluster, p.gpu_type, p.purchase,
            held[p.id] if (seen.get(p.cluster) or {}).get("gpus") is not None else None,
        )
        for p in facts.config.pools
        if p.cluster in clusters
    ]  # fmt: skip


def _in_scope(found: list[Reserved], pools: list[PoolSeen], region: str) -> list[Reserved]:
    """Reservations of a region: those that name one of its pools or clusters."""
    if not region:
        return found
    names, clusters = {p.id for p in pools}, {p.cluster for p in pools}
    return [r for r in found if r.pool in names or r.cluster in clusters]


def waiting_work(*, region: str = "", tier: str = "") -> list[WaitingWork]:
    """Work that waits in the scope, longest first, with what the last cycle found about each."""
    clusters = clusters_in(region)
    rows = WaitingWork.objects.filter(cluster__in=clusters)
    found = list(rows.filter(tier=tier) if tier else rows)
    words = latest_words(clusters) if found else {}
    for row in found:
        row.plan_says = words.get(gang_id(row), "")
    return found
