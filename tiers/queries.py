"""Reads for pages and API, from the latest observation, cycle and forecasts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from infra_console.fleet.queries import current_fleet, list_regions
from infra_console.telemetry.series import Freshness, freshness_of
from tiers.core.fleet_state import TIERS
from tiers.core.freezing import FreezeLine, freeze_lines
from tiers.core.ledger import LEDGER_STATES
from tiers.facts import FleetFacts, fleet_facts
from tiers.models import Cycle, ForecastModel, Observation, WorkloadForecast

OBSERVE_EVERY_S = 15.0
TRAIN_EVERY = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class TierSummary:
    """One tier in one scope. None is unknown; `partial` means that totals are "at least"."""

    tier: str
    nodes: int | None
    gpus: int | None
    gpus_ready: int | None
    nodes_moving: int | None
    held_gpus: int | None
    busy_gpus: float | None
    utilisation: float | None
    pending_gpus: int | None
    floor_gpus: int | None
    worst_slo_ratio: float | None
    worst_slo_model: str
    age_s: float | None
    state: str
    partial: bool
    regions: tuple["TierSummary", ...] = ()
    region: str = ""
    owned: tuple[str, ...] = ()  # workloads whose number of replicas is somebody else's to set

    @property
    def headroom_gpus(self) -> int | None:
        if self.gpus_ready is None or self.floor_gpus is None:
            return None
        return self.gpus_ready - self.floor_gpus


@dataclass(frozen=True, slots=True)
class RegionState:
    """One region for the map and its matrix twin."""

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
    problem: str = ""


def latest_observation() -> Observation | None:
    return Observation.objects.first()


def latest_cycle() -> Cycle | None:
    return Cycle.objects.first()


def latest_freezes(*, region: str = "") -> list[FreezeLine]:
    """Where the newest cycle with a result froze planning, or shrinking alone."""
    cycle = Cycle.objects.exclude(document={}).first()
    clusters = set(clusters_in(region))
    return [f for f in freeze_lines(cycle.document) if f.cluster in clusters] if cycle else []


def list_cycles(limit: int = 20) -> list[Cycle]:
    return list(Cycle.objects.all()[:limit])


def latest_forecasts(*, tier: str = "", region: str = "") -> list[WorkloadForecast]:
    """The forecasts of the last cycle that made any."""
    cycle = Cycle.objects.filter(forecasts__isnull=False).order_by("-started_at").first()
    if cycle is None:
        return []
    rows = cycle.forecasts.all()
    if tier:
        rows = rows.filter(tier=tier)
    if region:
        rows = rows.filter(cluster__in=clusters_in(region))
    return list(rows)


def forecast_model() -> ForecastModel | None:
    return ForecastModel.objects.first()


def training_is_due(*, now: datetime) -> bool:
    """Whether the newest usable model is missing or older than TRAIN_EVERY."""
    newest = ForecastModel.objects.filter(state="active").first()
    return newest is None or now - newest.trained_at >= TRAIN_EVERY


def current_facts() -> FleetFacts | None:
    config = current_fleet()
    return fleet_facts(config) if config else None


def clusters_in(region: str = "") -> list[str]:
    """The clusters of a region, or of the whole fleet."""
    facts = current_facts()
    return [c for c, r in facts.region_of.items() if region in {"", r}] if facts else []


# --- tiers ---------------------------------------------------------------------------------


def tier_summaries(
    *, region: str = "", tier: str = "", now: datetime | None = None
) -> list[TierSummary]:
    """The tiers of the scope with their regions; empty before the first observation."""
    observation = latest_observation()
    if observation is None:
        return []
    moment = now or datetime.now(UTC)
    clusters = {
        c: v
        for c, v in observation.document["clusters"].items()
        if not region or v["region"] == region
    }
    return [
        _summary(name, clusters, observation, moment) for name in TIERS if not tier or name == tier
    ]


def _summary(
    tier: str, clusters: Mapping[str, Any], observation: Observation, now: datetime
) -> TierSummary:
    regions: dict[str, dict[str, Any]] = {}
    for cluster, seen in clusters.items():
        regions.setdefault(seen["region"], {})[cluster] = seen
    parts = tuple(
        _add_up(tier, held, observation, now, region=r) for r, held in sorted(regions.items())
    )
    return _add_up(tier, clusters, observation, now, regions=parts)


def _add_up(
    tier: str,
    clusters: Mapping[str, Any],
    observation: Observation,
    now: datetime,
    *,
    region: str = "",
    regions: tuple[TierSummary, ...] = (),
) -> TierSummary:
    rows = [c["tiers"][tier] for c in clusters.values() if c["tiers"].get(tier)]
    worst = _worst(clusters.values()) if tier == "inference" else (None, "")
    age_s, state = age_and_state(clusters.values(), observation, now)
    return TierSummary(
        tier=tier,
        region=region,
        nodes=_sum(rows, "nodes"),
        gpus=_sum(rows, "gpus"),
        gpus_ready=_sum(rows, "gpus_ready"),
        nodes_moving=_sum(rows, "nodes_moving"),
        held_gpus=_sum(rows, "held_gpus"),
        busy_gpus=_sum(rows, "busy_gpus"),
        utilisation=_utilisation(rows),
        pending_gpus=_sum(rows, "pending_gpus"),
        floor_gpus=_sum(rows, "floor_gpus"),
        worst_slo_ratio=worst[0],
        worst_slo_model=worst[1],
        age_s=age_s,
        state=state,
        partial=not all(c["reachable"] for c in clusters.values())
        or sum(r["busy_gpus"] is not None for r in rows) < len(clusters),
        regions=regions,
        owned=tuple(_owned(tier, clusters)),
    )


def _owned(tier: str, clusters: Mapping[str, Any]) -> Iterator[str]:
    """Each workload of the tier whose replicas are owned, with its owner's name."""
    for cluster, seen in sorted(clusters.items()):
        for workload, held in sorted(seen["workloads"].items()):
            if held.get("tier") == tier and held.get("owned_by"):
                yield f"{workload} in {cluster} by {held['owned_by']}"


def _sum(rows: Iterable[Mapping[str, Any]], key: str) -> Any:
    """The sum of what is known; None when nothing is."""
    known = [row[key] for row in rows if row[key] is not None]
    return sum(known) if known else None


def _utilisation(tiers: Iterable[Mapping[str, Any]]) -> float | None:
    """Share of ready GPUs whose engines are active, over the tiers whose activity is known."""
    known = [t for t in tiers if t["busy_gpus"] is not None]
    ready = sum(t["gpus_ready"] for t in known)
    return min(1.0, sum(t["busy_gpus"] for t in known) / ready) if ready else None


def _worst(clusters: Iterable[Mapping[str, Any]]) -> tuple[float | None, str]:
    """The largest p95-to-SLO ratio and where it is."""
    ratios = [
        (service["slo_ratio"], f"{service['model']} in {c['region']}")
        for c in clusters
        for service in c["workloads"].values()
        if service["slo_ratio"] is not None
    ]
    return max(ratios, default=(None, ""))


def age_and_state(
    clusters: Iterable[Mapping[str, Any]], observation: Observation, now: datetime
) -> tuple[float | None, str]:
    """The oldest part's age, and one word for all of them."""
    seen = list(clusters)
    times = [datetime.fromisoformat(c["seen_at"]) for c in seen if c["seen_at"]]
    if not times:
        return None, str(Freshness.DOWN)
    age_s = (now - min(times)).total_seconds()
    if not any(c["reachable"] for c in seen):
        return age_s, str(Freshness.DOWN)
    if not all(c["reachable"] for c in seen):
        return age_s, str(Freshness.PARTIAL)
    return age_s, str(freshness_of(age_s, scrape_interval_s=OBSERVE_EVERY_S))


def ledger_summary(*, region: str = "") -> dict[str, int]:
    """GPUs by ledger state in the scope, in the ledger's order, zeros left out."""
    observation = latest_observation()
    total: Counter[str] = Counter()
    if observation:
        for cluster in observation.document["clusters"].values():
            if not region or cluster["region"] == region:
                total.update(cluster["ledger"])
    return {state: total[state] for state in LEDGER_STATES if total[state]}


# --- regions ----------------------------------------------------------------------------------


def region_map(*, now: datetime | None = None) -> list[RegionState]:
    """Every region with what is known of it, for the map and the matrix."""
    observation = latest_observation()
    moment = now or datetime.now(UTC)
    document = observation.document if observation else {"clusters": {}, "unreadable": {}}
    states = []
    for region in list_regions():
        clusters = {c: v for c, v in document["clusters"].items() if v["region"] == region.id}
        states.append(_region(region, clusters, document["unreadable"], observation, moment))
    return states


def _region(
    region: Any,
    clusters: Mapping[str, Any],
    unreadable: Mapping[str, str],
    observation: Observation | None,
    now: datetime,
) -> RegionState:
    age_s, state = (None, str(Freshness.DOWN))
    if observation and clusters:
        age_s, state = age_and_state(clusters.values(), observation, now)
    services = [s for c in clusters.values() for s in c["workloads"].values()]
    rates = [s["rps"] for s in services if s["rps"] is not None]
    worst, model = _worst(clusters.values())
    p95 = next((s["ttft_p95_ms"] for s in services if s["slo_ratio"] == worst), None)
    tiers = [t for c in clusters.values() for t in c["tiers"].values()]
    return RegionState(
        id=region.id,
        place=region.place,
        latitude=region.latitude,
        longitude=region.longitude,
        jurisdiction=region.jurisdiction,
        state=state,
        age_s=age_s,
        gpus=_sum(clusters.values(), "gpus"),
        utilisation=_utilisation(tiers),
        rps=sum(rates) if rates else None,
        ttft_p95_ms=p95 if worst is not None else None,
        worst_slo_ratio=worst,
        worst_slo_model=model.partition(" in ")[0],
        problem="; ".join(unreadable[c] for c in clusters if c in unreadable),
    )
