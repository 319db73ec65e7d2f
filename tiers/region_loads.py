"""What each region's models are asked and could serve, for the regions' what-if."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra_console.fleet.config import WorkloadConfig
from infra_console.telemetry.series import Freshness
from tiers.core.demand.need import added
from tiers.queries import age_and_state, current_facts, latest_observation

OLD = frozenset({Freshness.STALE, Freshness.DOWN})


@dataclass(frozen=True, slots=True)
class RegionLoad:
    """One model in one region; None is unknown. Requests per second; `room_rps` within its SLO."""

    region: str
    model: str
    rps: float | None
    room_rps: float | None


def region_loads(*, now: datetime | None = None) -> list[RegionLoad]:
    """The services of the last observation, added up by region; old numbers count as unknown."""
    observation, facts = latest_observation(), current_facts()
    if observation is None or facts is None:
        return []
    moment = now or datetime.now(UTC)
    found: dict[tuple[str, str], list[tuple[float | None, float | None]]] = {}
    for seen in observation.document["clusters"].values():
        _, state = age_and_state([seen], observation, moment)
        for name, held in seen["workloads"].items():
            workload = facts.workloads.get(name)
            if workload is None or workload.unit != "requests/s":
                continue
            known = state not in OLD and seen["reachable"]
            pair = (held["rps"], _room(workload, held)) if known else (None, None)
            found.setdefault((seen["region"], workload.model or name), []).append(pair)
    return [
        RegionLoad(region, model, added(r for r, _ in pairs), added(m for _, m in pairs))
        for (region, model), pairs in sorted(found.items())
    ]


def _room(workload: WorkloadConfig, held: dict[str, Any]) -> float | None:
    """What the ready groups serve; on the slowest of its GPU types, since which is not said."""
    if held["ready"] is None:
        return None
    return float(held["ready"] * min(workload.units_per_group.values()))
