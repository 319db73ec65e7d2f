"""What may be planned on doubtful numbers: nothing is taken away, growth may go on. Pure.

A number that lacks a part of what it adds up is a lower bound: the demand that is seen may be more,
never less. So growth may rest on it, and a shrink may not. Growth under doubt takes only what is
certainly spare: GPUs that are free, and nodes without pods of a tier that keeps what its floor and
its forecast ask for. A tier whose need is unknown, or that has work waiting, gives no node away.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from tiers.core.changes import ClusterMoves
from tiers.core.fleet_state import TIERS, ClusterState
from tiers.core.region_problem import RegionProblem
from tiers.core.snapshot import DemandStep, Snapshot

BAND_DUST_GPUS = 0.05


@dataclass(frozen=True, slots=True)
class Freezes:
    """By cluster, why nothing is planned (`closed`), and why nothing shrinks (`doubted`)."""

    closed: Mapping[str, str]
    doubted: Mapping[str, str]

    def is_open(self, cluster: str) -> bool:
        return cluster not in self.closed and cluster not in self.doubted

    def all_closed(self, clusters: Iterable[str]) -> bool:
        return all(cluster in self.closed for cluster in clusters)

    def with_doubts(self, more: Mapping[str, str]) -> "Freezes":
        """These, and doubts about clusters of which nothing worse is said."""
        new = {c: why for c, why in more.items() if self.is_open(c)}
        return Freezes(self.closed, {**self.doubted, **new})


@dataclass(frozen=True, slots=True)
class FreezeLine:
    """One cluster's freeze for people to read."""

    cluster: str
    since: datetime
    why: str
    grows: bool

    @property
    def words(self) -> str:
        what = "shrinking is frozen" if self.grows else "frozen"
        ending = "; growing goes on" if self.grows else ""
        return f"{self.cluster}: {what} since {self.since:%d %b %H:%M} UTC: {self.why}{ending}"


def freeze_lines(document: Mapping[str, Any]) -> list[FreezeLine]:
    """The freezes of a cycle's document, those that stop everything first."""
    since = document.get("frozen_since", {})
    return [
        FreezeLine(cluster, datetime.fromisoformat(since[cluster]), why, grows)
        for key, grows in (("frozen", False), ("shrink_frozen", True))
        for cluster, why in sorted(document.get(key, {}).items())
        if cluster in since
    ]


def frozen_words(document: Mapping[str, Any]) -> str:
    """What a verdict adds about frozen clusters; empty where there is none."""
    frozen, doubted = sorted(document["frozen"]), sorted(document["shrink_frozen"])
    text = f"; {len(frozen)} clusters frozen ({', '.join(frozen[:3])})" if frozen else ""
    if doubted:
        more = f" and {len(doubted) - 3} more" if len(doubted) > 3 else ""
        text += f"; shrinking is frozen in {', '.join(doubted[:3])}{more}, growing goes on"
    return text


def frozen_verdict(freezes: Freezes) -> str:
    reasons = sorted(set(freezes.closed.values()))
    return "Planning is frozen: " + "; ".join(reasons[:3]) + ". Nothing was changed."


def growth_snapshot(snapshot: Snapshot, region: str, at_least: Mapping[str, float]) -> Snapshot:
    """The region's problem where nothing may stop and only demand that is seen counts.

    Args:
        at_least: by workload, a lower bound of its demand now, in its units; without one nothing
            is started for it.
    """
    running: Counter[str] = Counter()
    for (_, workload), groups in RegionProblem.of(snapshot, region).start.items():
        running[workload] += groups
    workloads = tuple(
        w.model_copy(
            update={
                "floor_groups": max(w.floor_groups, running[w.id]),
                "ceiling_groups": max(w.ceiling_groups, running[w.id]),
            }
        )
        for w in snapshot.workloads
    )
    demand = {
        w: {region: (_steady(units),) * snapshot.steps}
        for w, units in at_least.items()
        if any(held.id == w and region in held.regions for held in snapshot.workloads)
    }
    return snapshot.model_copy(update={"workloads": workloads, "demand": demand})


def _steady(units: float) -> DemandStep:
    return DemandStep(p50=units, p80=units, p90=units, p95=units, p975=units)


def kept_gpus(
    state: ClusterState, floors: Mapping[str, int], needs: Mapping[str, float | None]
) -> dict[str, int]:
    """GPUs that each tier keeps: its floor or its need, and everything where that is not known or
    work of the tier waits.

    Args:
        needs: GPUs by tier; None is unknown.
    """
    waiting = {p.tier for p in state.pods if not p.node and p.phase == "Pending"}
    everything = sum(n.gpus_capacity for n in state.nodes)
    kept = {}
    for tier in TIERS:
        need = needs.get(tier)
        known = need is not None and tier not in waiting
        kept[tier] = max(floors.get(tier, 0), _whole(need or 0.0)) if known else everything
    return kept


def _whole(gpus: float) -> int:
    """Whole GPUs for a band's end; the width that a steady series keeps is not one more."""
    return ceil(gpus - BAND_DUST_GPUS)


def tier_needs(
    needs: Iterable[tuple[str, float | None]],
) -> dict[str, float | None]:
    """GPUs by tier from those of its workloads; unknown where one of them is."""
    total: dict[str, float | None] = dict.fromkeys(TIERS, 0.0)
    for tier, gpus in needs:
        known = total[tier]
        total[tier] = None if gpus is None or known is None else known + gpus
    return total


def shrinks_in(moves: ClusterMoves) -> list[str]:
    """What the moves would take away, in words; nothing where they only grow."""
    found = [f"{s.deployment.name} {s.delta:+d}" for s in (*moves.shrinks, *moves.grows)
             if s.delta < 0]  # fmt: skip
    found += [f"{c.node.name} is not empty" for c in moves.nodes if c.evicts]
    found += [stop.words for stop in moves.stops]
    found += [f"quota of {q.quota.queue} {q.delta:+d}" for q in moves.quotas if q.delta < 0]
    return found
