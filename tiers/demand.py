"""Demand now, for the planner and for pages: live queues and the throughput in force."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from infra_console.fleet.config import WorkloadConfig
from tiers.core.demand.correction import Correction
from tiers.core.demand.need import WORK_OFF_S, Live
from tiers.corrections import corrections_in_force
from tiers.demand_readings import Key, live_demand, mean_tokens, read_demand
from tiers.facts import FleetFacts
from tiers.throughputs import Throughputs, keep_measured, throughputs

__all__ = ["DemandNow", "demand_now", "keep_measured"]

TOLD_SHARE = 0.05  # a queue or refusals below this share of arrivals need no words


@dataclass(frozen=True, slots=True)
class DemandNow:
    """`live` and `corrections` by (cluster, workload); `served` by (workload, GPU type)."""

    live: Mapping[Key, Live]
    served: Throughputs
    tokens_per_request: Mapping[str, float | None]
    corrections: Mapping[Key, Correction] = field(default_factory=dict)

    def units_per_group(self, workload: WorkloadConfig) -> dict[str, float]:
        """What one group serves at its objective by GPU type, by the throughput in force."""
        units = dict(workload.units_per_group)
        for gpu_type, gpus in workload.group_gpus.items():
            found = self.served.get((workload.id, gpu_type))
            rps = found.rps(self.tokens_per_request.get(workload.id)) if found else None
            if rps:
                units[gpu_type] = rps * gpus
        return units

    def at_least(self, cluster: str, seen: Mapping[str, float]) -> dict[str, float]:
        """The larger of what is seen now in one cluster, by workload, and its correction."""
        found = dict(seen)
        for (where, name), correction in self.corrections.items():
            if where == cluster:
                found[name] = max(found.get(name, 0.0), correction.wanted_rps)
        return found

    def words(self, facts: FleetFacts, cluster: str, *, now: datetime) -> Iterator[str]:
        """What a plan's reader should know of one cluster's demand beside its forecast."""
        for (where, name), live in sorted(self.live.items()):
            if where != cluster or live.arrivals_rps is None:
                continue
            more = (live.refused_rps or 0.0) + live.backlog_rps
            if more > TOLD_SHARE * live.arrivals_rps:
                yield (
                    f"{name}: {live.arrivals_rps:.2f} requests/s arrive, "
                    f"{_amount(live.refused_rps, '.2f')} are refused and "
                    f"{_amount(live.waiting, '.0f')} wait; with the queue gone in "
                    f"{WORK_OFF_S / 60:.0f} minutes that is {live.wanted_rps:.2f} at once."
                )
        for (where, name), more_gpus in sorted(self.corrections.items()):
            if where == cluster:
                yield f"{name}: {more_gpus.words}."
        region = facts.region_of[cluster]
        for (name, gpu_type), found in sorted(self.served.items()):
            if found.origin != "fleet file" and region in facts.workloads[name].regions:
                age_s = found.age_s(now)
                old = "" if age_s is None else f", {age_s / 3600:.1f} h ago"
                yield f"{name} on {gpu_type}: throughput {found.origin}{old} ({found.words})."


def _amount(value: float | None, form: str) -> str:
    return "an unknown number" if value is None else format(value, form)


def demand_now(facts: FleetFacts, *, now: datetime) -> DemandNow:
    """What is asked of the fleet now; sources that are silent leave it unknown."""
    live = live_demand(facts, read_demand())
    tokens = {name: mean_tokens(live, name) for name in facts.workloads}
    return DemandNow(
        live, throughputs(facts, tokens, now=now), tokens, corrections_in_force(now=now)
    )
