"""Live demand of served models, as the metric sources tell it now."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra_console.fleet.config import WorkloadConfig
from infra_console.telemetry.queries import read_instant
from infra_console.telemetry.series import Freshness, Reading, Series
from tiers.core.demand.need import Live
from tiers.core.demand.throughput import Saturated
from tiers.facts import FleetFacts
from tiers.models import LedgerLot

QUERIES = (
    "arrivals_rps", "refused_rps", "requests_waiting", "tokens_per_s", "generation_tokens_per_s",
    "completions_rps",
)  # fmt: skip
QUEUES = QUERIES[:3]  # what is asked each minute between two cycles
OLD = {Freshness.STALE, Freshness.DOWN}
Key = tuple[str, str]  # (cluster, workload)


@dataclass(frozen=True, slots=True)
class Readings:
    """The readings behind live demand, by catalogue name."""

    of: Mapping[str, Reading]

    def value(self, name: str, cluster: str, model: str) -> tuple[float | None, float | None]:
        """The newest value and its age; no value where it is too old to speak of now."""
        series = self._series(name, cluster, model)
        if series is None or series.state in OLD or _is_ahead(series):
            return None, series.age_s if series else None
        return series.last, series.age_s

    def why(self, name: str, cluster: str, model: str) -> str:
        """Why there is no value."""
        series = self._series(name, cluster, model)
        if series is not None:
            old = series.state in OLD or _is_ahead(series)
            return f"{name} is {series.state}" if old else f"{name} has no number"
        said = self.of[name].error if name in self.of else ""
        return said or _MISSING.get(name, f"{name}: no series carries its name")

    def _series(self, name: str, cluster: str, model: str) -> Series | None:
        reading = self.of.get(name)
        return reading.one(cluster=cluster, model_name=model) if reading else None


def _is_ahead(series: Series) -> bool:
    """Partial for another reason than missing parts: not even a lower bound of now."""
    return series.state is Freshness.PARTIAL and not series.at_least


_MISSING = {
    "refused_rps": "refusals: not exported, no gateway counts this model's requests",
    "arrivals_rps": "arrivals: no vLLM has counted this model's requests here for five minutes",
}


def read_demand() -> Readings:
    return Readings({name: read_instant(name) for name in QUERIES})


def read_queues() -> Readings:
    """The small part of it that moves from minute to minute."""
    return Readings({name: read_instant(name) for name in QUEUES})


def live_demand(facts: FleetFacts, readings: Readings) -> dict[Key, Live]:
    """What is asked now of each served model in each cluster where it may run."""
    return {
        (cluster, workload.id): _live(readings, cluster, workload)
        for cluster in facts.cluster_ids
        for workload in facts.workloads.values()
        if workload.unit == "requests/s" and facts.region_of[cluster] in workload.regions
    }


def _live(readings: Readings, cluster: str, workload: WorkloadConfig) -> Live:
    values = {name: readings.value(name, cluster, workload.model) for name in QUERIES}
    known = {name: value for name, (value, _) in values.items()}
    tokens, output, done = (
        known[n] for n in ("tokens_per_s", "generation_tokens_per_s", "completions_rps")
    )
    return Live(
        arrivals_rps=known["arrivals_rps"],
        refused_rps=known["refused_rps"],
        waiting=known["requests_waiting"],
        prompt_tokens_per_s=(
            max(0.0, tokens - output) if tokens is not None and output is not None else None
        ),
        output_tokens_per_s=output,
        tokens_per_request=tokens / done if tokens and done else None,
        why=tuple(
            readings.why(name, cluster, workload.model) for name in QUEUES if known[name] is None
        ),
        age_s=values["arrivals_rps"][1],
    )


def read_saturated(facts: FleetFacts) -> dict[tuple[str, str], list[Saturated]]:
    """What saturated replicas do, by (model, GPU type).

    A model that runs on two GPU types in one cluster is left out there: its counters do not say
    which replica stands on which.
    """
    reading = read_instant("saturated")
    if reading.state in OLD:
        return {}
    parts: dict[Key, dict[str, float]] = {}
    for series in reading.series:
        key = (series.labels.get("cluster", ""), series.labels.get("model_name", ""))
        if series.last is not None and series.state not in OLD:
            parts.setdefault(key, {})[series.labels.get("of", "")] = series.last
    found: dict[tuple[str, str], list[Saturated]] = {}
    types = _types_in_use()
    for workload in facts.workloads.values():
        for (cluster, model), sums in parts.items():
            in_use = types.get((cluster, workload.id), set()) & set(workload.group_gpus)
            if model != workload.model or len(in_use) != 1 or "tokens" not in sums:
                continue
            gpu_type = next(iter(in_use))
            found.setdefault((model, gpu_type), []).append(
                Saturated(
                    tokens_per_s=sums["tokens"],
                    requests_per_s=sums.get("requests", 0.0),
                    running=sums.get("running", 0.0),
                    replicas=int(sums.get("replicas", 0)),
                    gpus_per_replica=workload.group_gpus[gpu_type],
                )
            )
    return found


def _types_in_use() -> dict[Key, set[str]]:
    """GPU types that hold each workload now, by the ledger."""
    found: dict[Key, set[str]] = {}
    rows = LedgerLot.objects.filter(until=None).exclude(workload="")
    for cluster, workload, gpu_type in rows.values_list("cluster", "workload", "gpu_type"):
        found.setdefault((cluster, workload), set()).add(gpu_type)
    return found


def mean_tokens(live: Mapping[Key, Live], workload: str) -> float | None:
    """Mean tokens of a request of one workload over the clusters that know, by their arrivals."""
    known = [
        (each.arrivals_rps, each.tokens_per_request)
        for (_, name), each in live.items()
        if name == workload and each.arrivals_rps and each.tokens_per_request
    ]
    rps = sum(rate for rate, _ in known)
    return sum(rate * tokens for rate, tokens in known) / rps if rps else None
