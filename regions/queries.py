"""Reads of the regions. What each is doing comes from whoever settings.REGION_STATES names, since
no domain imports another."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string


class RegionState(Protocol):
    """One region as the map needs it. None is unknown; `state` is a freshness word."""

    id: str
    place: str
    latitude: float
    longitude: float
    jurisdiction: str
    state: str
    age_s: float | None
    gpus: int | None
    utilisation: float | None
    rps: float | None
    ttft_p95_ms: float | None
    worst_slo_ratio: float | None
    worst_slo_model: str
    problem: str


class ReadsRegions(Protocol):
    def __call__(self, *, now: datetime | None = None) -> Sequence[RegionState]: ...


def region_states(*, now: datetime | None = None, only: str = "") -> list[RegionState]:
    """Every region of the fleet, or `only` one."""
    read: Callable[..., Sequence[RegionState]] = import_string(settings.REGION_STATES)
    return [state for state in read(now=now) if not only or state.id == only]


def is_known(region: RegionState) -> bool:
    """Whether its numbers are of now: old ones are shown, but not coloured as if they were."""
    return region.state not in {"stale", "down"} and region.worst_slo_ratio is not None
