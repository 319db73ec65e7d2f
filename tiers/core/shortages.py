"""What runs short in the next hours: demand to come against supply as the calendar knows it.

Up to four hours demand is the forecast; beyond, what was asked for at the same time last week,
marked so, because nothing better was measured. Supply is what is ready now, less reservations that
end and more those that begin. Spot, failures and repairs are not foretold here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

FORECAST_LIKELY, FORECAST_POSSIBLE = "forecast p50", "forecast p95"
LAST_WEEK = "same time last week"


@dataclass(frozen=True, slots=True)
class Need:
    """GPUs needed at one moment, and what says so."""

    at: datetime
    gpus: float
    basis: str


@dataclass(frozen=True, slots=True)
class SupplyChange:
    """GPUs that come (positive) or go at one moment, and why."""

    at: datetime
    cluster: str
    gpus: int
    why: str


@dataclass(frozen=True, slots=True)
class Shortage:
    """The first moment at which a cluster's tier (or all of the cluster: "") lacks GPUs, and the
    most that it lacks from then on, on the same basis."""

    cluster: str
    tier: str
    at: datetime
    first_gpus: int
    most_gpus: int
    basis: str


def shortages(
    cluster: str,
    tier: str,
    needs: Iterable[Need],
    supply_gpus: int,
    changes: Sequence[SupplyChange] = (),
) -> list[Shortage]:
    """The first shortage on each basis, soonest first; empty where supply is enough."""
    short: dict[str, list[tuple[datetime, int]]] = {}
    for need in sorted(needs, key=lambda n: n.at):
        ready = supply_gpus + sum(c.gpus for c in changes if c.at <= need.at)
        # Part of a GPU is a GPU: nobody rents 0.3.
        lacking = -(-need.gpus // 1) - max(0, ready)
        if lacking > 0:
            short.setdefault(need.basis, []).append((need.at, int(lacking)))
    found = [
        Shortage(cluster, tier, rows[0][0], rows[0][1], max(g for _, g in rows), basis)
        for basis, rows in short.items()
    ]
    return sorted(_without_echo(found), key=lambda s: (s.at, s.basis))


def _without_echo(found: list[Shortage]) -> list[Shortage]:
    """A likely shortage says what a merely possible one from the same moment says, and more."""
    likely = {s.at for s in found if s.basis == FORECAST_LIKELY}
    return [s for s in found if s.basis != FORECAST_POSSIBLE or s.at not in likely]


def together(parts: Mapping[str, Sequence[Need]]) -> list[Need]:
    """The needs of several tiers added where all of them are known on the same basis."""
    sums: dict[tuple[datetime, str], tuple[float, int]] = {}
    for needs in parts.values():
        for need in needs:
            gpus, count = sums.get((need.at, need.basis), (0.0, 0))
            sums[need.at, need.basis] = (gpus + need.gpus, count + 1)
    return [
        Need(at, gpus, basis) for (at, basis), (gpus, count) in sums.items() if count == len(parts)
    ]
