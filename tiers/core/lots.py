"""Since when each GPU is in its state: lots of GPUs that entered it together.

GPUs of a node are alike, so a lot is a count. When a state grows on a node a new lot begins; when
it shrinks the youngest lots give first, because what has been there longest is likeliest to stay.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tiers.core.fleet_state import ClusterState
from tiers.core.ledger import node_holdings


class LotKey(NamedTuple):
    """What the GPUs of a lot have in common."""

    node: str
    pool: str
    block: str
    gpu_type: str
    tier: str
    state: str
    owner: str
    workload: str


@dataclass(frozen=True, slots=True)
class OpenLot:
    id: int
    key: LotKey
    gpus: int
    since: datetime


@dataclass(frozen=True, slots=True)
class LotChanges:
    """`opened` are GPUs by key; `left` are GPUs that leave a lot, in part or whole."""

    opened: Mapping[LotKey, int] = field(default_factory=dict)
    left: Mapping[int, int] = field(default_factory=dict)


def cluster_lots(
    state: ClusterState, smallest_group: Mapping[tuple[str, str], int]
) -> Counter[LotKey]:
    """GPUs of a cluster by lot key; they sum to the capacity of its nodes."""
    pods = state.pods_by_node()
    counts: Counter[LotKey] = Counter()
    for node in state.nodes:
        for (held, owner, workload), gpus in node_holdings(
            node, pods[node.name], smallest_group
        ).items():
            key = LotKey(
                node.name,
                node.pool,
                node.block,
                node.gpu_type,
                node.tier or "",
                held,
                owner,
                workload,
            )
            counts[key] += gpus
    return counts


def reconcile(open_lots: Iterable[OpenLot], counts: Mapping[LotKey, int]) -> LotChanges:
    """What must begin and end so that the open lots say what was just counted."""
    by_key: dict[LotKey, list[OpenLot]] = {}
    for lot in open_lots:
        by_key.setdefault(lot.key, []).append(lot)
    opened: dict[LotKey, int] = {}
    left: dict[int, int] = {}
    for key in {*by_key, *counts}:
        held = by_key.get(key, [])
        surplus = sum(lot.gpus for lot in held) - counts.get(key, 0)
        if surplus < 0:
            opened[key] = -surplus
        for lot in sorted(held, key=lambda lot: lot.since, reverse=True):
            if surplus <= 0:
                break
            left[lot.id] = min(lot.gpus, surplus)
            surplus -= left[lot.id]
    return LotChanges(opened, left)
