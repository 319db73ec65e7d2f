"""Throughput in force: what was measured last, else the operator's profiles, else the fleet file.

A measurement is kept: replicas are saturated while they are too few, and a planner that forgot
what it then learned would take them away again as soon as there are enough.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from django.conf import settings

from tiers.adapters.profile_files import read_profiles
from tiers.core.demand.throughput import (
    ServingProfile,
    Throughput,
    declared,
    from_profile,
    in_force,
    measured,
)
from tiers.core.profiles.errors import UnknownGpuType, UnknownModel
from tiers.core.profiles.hardware import gpu_type_of
from tiers.core.profiles.shapes import shape_of
from tiers.demand_readings import read_saturated
from tiers.facts import FleetFacts
from tiers.models import MeasuredThroughput

Throughputs = Mapping[tuple[str, str], Throughput]  # by (workload, GPU type)


def keep_measured(facts: FleetFacts, *, now: datetime) -> None:
    """Keep what the replicas that are saturated now serve; called by workers."""
    for (model, gpu_type), parts in read_saturated(facts).items():
        found = measured(parts, at=now)
        if found is not None and found.tokens_per_s is not None:
            MeasuredThroughput.objects.update_or_create(
                model=model,
                gpu_type=gpu_type,
                defaults={
                    "requests_per_s": found.requests_per_s,
                    "tokens_per_s": found.tokens_per_s,
                    "words": found.words,
                    "at": now,
                },
            )


def throughputs(
    facts: FleetFacts, tokens_per_request: Mapping[str, float | None], *, now: datetime
) -> dict[tuple[str, str], Throughput]:
    """What one GPU serves of each model on each GPU type that the fleet file gives it.

    Args:
        tokens_per_request: mean length by workload; None or absent where unknown.
    """
    kept = {(row.model, row.gpu_type): row for row in MeasuredThroughput.objects.all()}
    profiles = read_profiles(settings.PROFILES_FILE)
    found = {}
    for workload in facts.workloads.values():
        if workload.unit != "requests/s":
            continue
        for gpu_type, gpus in workload.group_gpus.items():
            row = kept.get((workload.model, gpu_type))
            tables = [p for p in profiles if _is_of(p, workload.model, gpu_type, gpus)]
            found[workload.id, gpu_type] = in_force(
                _measured(row) if row else None,
                from_profile(tables, slo_ttft_ms=workload.slo_ttft_p95_ms),
                declared(workload.units_per_group[gpu_type], gpus),
                tokens_per_request=tokens_per_request.get(workload.id),
                now=now,
            )
    return found


def _measured(row: MeasuredThroughput) -> Throughput:
    return Throughput(row.requests_per_s, row.tokens_per_s, "measured", row.at, row.words)


def _is_of(profile: ServingProfile, model: str, gpu_type: str, gpus: int) -> bool:
    if profile.gpus != gpus or not _same(gpu_type_of, profile.gpu_type, gpu_type):
        return False
    return _same(shape_of, profile.model, model)


def _same(known: Callable[[str], object], one: str, other: str) -> bool:
    """Whether two names are the same, or name the same known thing."""
    if one.casefold() == other.casefold():
        return True
    try:
        return known(one) == known(other)
    except (UnknownModel, UnknownGpuType):
        return False
