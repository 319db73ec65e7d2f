"""The router with the newest news of every region, as far as they can be read from here."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import inf

from infra_console.fleet.queries import list_clusters, list_regions
from infra_console.telemetry.queries import read_instant
from infra_console.telemetry.series import Reading
from regions.core.cells import Load as CellLoad
from regions.core.law import Region
from regions.core.router import Router
from regions.core.spill import Load
from regions.core.weights import Rules
from regions.queries import round_trip_times

RULES = Rules()


def router_now(
    loads: Sequence[Load], life: Mapping[str, str], closed: Iterable[str], at: datetime
) -> tuple[Router, list[str]]:
    """The router with the newest news: work is counted in prompts of one length, so that a wait is
    what is queued over what is served in a second."""
    models: dict[str, set[str]] = {region.id: set() for region in list_regions()}
    for load in loads:
        models.setdefault(load.region, set()).add(load.model)
    regions = [Region(r.id, r.jurisdiction, frozenset(models[r.id])) for r in list_regions()]
    times, notes = round_trip_times(now=at)
    router = Router(regions, times)
    waiting = _waiting(read_instant("requests_waiting", at=at))
    for load in loads:
        if life.get(load.region) == "lost":
            continue
        queued = waiting.get((load.region, load.model))
        if load.room_rps is None or queued is None:
            notes.append(f"{load.model} in {load.region}: room or queue unknown, taken as idle")
        tokens_per_s = (load.room_rps or 1.0) * RULES.prompt_tokens
        news = CellLoad(at.timestamp(), tokens_per_s, (queued or 0.0) * RULES.prompt_tokens)
        router.observe(load.region, load.model, news)
    for region in closed:
        if region in models:
            router.surcharge(region, inf)
    return router, notes


def _waiting(reading: Reading) -> dict[tuple[str, str], float]:
    """Requests queued in the engines, by region and model."""
    region_of = {cluster.id: cluster.region_id for cluster in list_clusters()}
    found: dict[tuple[str, str], float] = {}
    for series in reading.series:
        region = region_of.get(series.labels.get("cluster", ""))
        if region and series.last is not None:
            key = region, series.labels.get("model_name", "")
            found[key] = found.get(key, 0.0) + float(series.last)
    return found
