"""Rows of the ledger page: lots added up by what a person groups them by."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tiers.core.ledger import LEDGER_STATES

GROUPS = ("cluster", "pool", "block", "owner", "tier")
# States in which GPUs do nothing for anybody: what a person looks at first.
WANTING = (
    "broken", "foreign-cordoned", "free-stranded", "idle-allocated", "unknown", "free-usable",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LotRow:
    """GPUs in one state since one moment. An `owner` of "" is nobody."""

    cluster: str
    node: str
    pool: str
    block: str
    owner: str
    tier: str
    gpu_type: str
    state: str
    gpus: int
    since: datetime | None
    workload: str = ""
    why: str = ""  # in words, why they are no supply


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One group: GPUs by state (they sum to `total`) and its oldest GPU that does nothing."""

    name: str
    total: int
    by_state: Mapping[str, int]
    oldest_wanting: datetime | None


def ledger_table(lots: Iterable[LotRow], *, by: str) -> list[LedgerRow]:
    """The groups in order of their names, those without one last."""
    groups: dict[str, list[LotRow]] = {}
    for lot in lots:
        groups.setdefault(getattr(lot, by), []).append(lot)
    names = sorted(groups, key=lambda name: (not name, name))
    return [_row(name, groups[name]) for name in names]


def _row(name: str, lots: list[LotRow]) -> LedgerRow:
    counts = Counter[str]()
    for lot in lots:
        counts[lot.state] += lot.gpus
    since = [lot.since for lot in lots if lot.state in WANTING[:5] and lot.since]
    return LedgerRow(
        name=name,
        total=sum(counts.values()),
        by_state={state: counts[state] for state in LEDGER_STATES if counts[state]},
        oldest_wanting=min(since, default=None),
    )


def totals(lots: Iterable[LotRow]) -> dict[str, int]:
    """GPUs by state in the ledger's order, zeros left out."""
    counts = Counter[str]()
    for lot in lots:
        counts[lot.state] += lot.gpus
    return {state: counts[state] for state in LEDGER_STATES if counts[state]}


def sum_difference(lots: Iterable[LotRow], fleet: Mapping[str, int | None]) -> str:
    """Where the lots do not add up to the fleet as observed, in words; empty when they do.

    Args:
        fleet: GPUs by cluster as last seen, None where a cluster was never read.
    """
    held = Counter[str]()
    for lot in lots:
        held[lot.cluster] += lot.gpus
    parts = [
        f"{name}: {held[name]} in the ledger, {gpus} observed"
        for name, gpus in sorted(fleet.items())
        if gpus is not None and held[name] != gpus
    ]
    return "; ".join(parts)
