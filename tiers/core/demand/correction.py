"""Between two cycles: demand that outgrew its plan, by live queues. Pure; upward only.

    wanted_rps = arrivals + refused + waiting / WORK_OFF_S          (need.py)
    extra_rps  = wanted_rps - what the cycle planned for now at its quantile
    gpus       = extra_rps / requests/s that one GPU serves, as the cycle counted it

Kept is the highest since the cycle, with when and why: a queue that shrinks between two looks takes
nothing away, and what is not known now neither adds nor takes. The next plan begins from it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tiers.core.demand.need import Live
from tiers.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Planned:
    """What a cycle planned of one workload in one region for now, and what one GPU serves of it."""

    rps: float
    rps_per_gpu: float


@dataclass(frozen=True, slots=True)
class Correction:
    """Demand above its plan; `waiting` and `refused_rps` None is unknown."""

    at: datetime
    wanted_rps: float
    planned_rps: float
    gpus: float
    arrivals_rps: float
    waiting: float | None
    refused_rps: float | None

    @property
    def words(self) -> str:
        """What was corrected, when, and why."""
        queue = "the queue is unknown" if self.waiting is None else f"{self.waiting:.0f} wait"
        refused = f", {self.refused_rps:.2f}/s are refused" if self.refused_rps else ""
        return (
            f"corrected upwards at {self.at:%H:%M} UTC by {self.gpus:.1f} GPUs because {queue}, "
            f"{self.arrivals_rps:.2f}/s arrive{refused}: {self.wanted_rps:.2f}/s are wanted, "
            f"{self.planned_rps:.2f}/s were planned"
        )


def planned_of(snapshot: Snapshot, workload: str, region: str) -> Planned | None:
    """What the snapshot's first step plans for; None where it does not know the demand.

    One GPU is of the type that most of the workload's groups run on there, else of one it may have.
    """
    steps = snapshot.demand.get(workload, {}).get(region)
    asked = next((w for w in snapshot.workloads if w.id == workload), None)
    if not steps or asked is None:
        return None
    types = {p.id: p.gpu_type for p in snapshot.pools if p.region == region}
    groups: Counter[str] = Counter()
    for held in snapshot.current:
        if held.workload == workload and held.pool in types:
            groups[types[held.pool]] += held.groups
    able = [*(t for t, _ in groups.most_common()), *types.values()]
    gpu_type = next((t for t in able if asked.units_per_group.get(t)), None)
    if gpu_type is None:
        return None
    planned = steps[0].at(snapshot.quantile)
    return Planned(planned, asked.units_per_group[gpu_type] / asked.group_gpus[gpu_type])


def corrected(
    planned: Planned, live: Live, known: Correction | None, *, at: datetime
) -> Correction | None:
    """The correction after one more look: the one that was known, or a higher one."""
    wanted = live.wanted_rps
    if wanted is None or live.arrivals_rps is None:
        return known
    if wanted <= planned.rps or (known is not None and wanted <= known.wanted_rps):
        return known
    return Correction(
        at=at,
        wanted_rps=wanted,
        planned_rps=planned.rps,
        gpus=(wanted - planned.rps) / planned.rps_per_gpu,
        arrivals_rps=live.arrivals_rps,
        waiting=live.waiting,
        refused_rps=live.refused_rps,
    )


def raised(
    steps: Sequence[Mapping[str, float]], correction: Correction | None
) -> list[dict[str, float]]:
    """Demand by quantile whose first step is at least what was wanted since the cycle before."""
    found = [dict(step) for step in steps]
    if found and correction is not None:
        found[0] = {q: max(v, correction.wanted_rps) for q, v in found[0].items()}
    return found
