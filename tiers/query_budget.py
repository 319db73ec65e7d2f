"""What the console will ask of a metric source, for the command that adopts and for the sources'
page alike: see core/query_budget.py."""

from collections.abc import Collection
from math import ceil

from django.conf import settings

from infra_console.fleet.queries import current_fleet
from infra_console.telemetry.expected import Expected, ExpectedPart
from infra_console.telemetry.pace import Use
from tiers.core.query_budget import GPUS_PER_NODE, MODELS, Budget, FleetSize, standing_budget
from tiers.queries import OBSERVE_EVERY_S, latest_observation

ASSUMED_NODES = 1000  # as `adopt` does where nobody says


def expected_reading(clusters: Collection[str], nodes: int | None) -> Expected:
    """What will be fetched in a minute of a source that owns these clusters: by `nodes`, else by
    the GPUs that were seen last."""
    observation, fleet = latest_observation(), current_fleet()
    document = observation.document if observation else {}
    seen = document.get("clusters", {})
    gpus = [(seen.get(cluster) or {}).get("gpus") for cluster in clusters]
    counted = sum(ceil(g / GPUS_PER_NODE) for g in gpus if g is not None)
    known = nodes or (counted if gpus and None not in gpus else None)
    models = len({w.model for w in fleet.workloads if w.model}) if fleet else 0
    size = FleetSize(
        clusters=max(1, len(clusters)),
        nodes=max(counted, ASSUMED_NODES) if known is None else known,
        models=models or MODELS,
    )
    by_metrics = document.get("source") != "kubernetes"
    return reading_of(size, by_metrics=by_metrics, assumed=known is None)


def reading_of(size: FleetSize, *, by_metrics: bool, assumed: bool = False) -> Expected:
    """What will be fetched in a minute of a fleet of this size."""
    parts = standing_budget(
        size, observe_s=OBSERVE_EVERY_S, cycle_s=settings.CYCLE_EVERY_S, by_metrics=by_metrics
    )
    return Expected(size.clusters, size.nodes, assumed, tuple(map(_part, parts)))


def _part(budget: Budget) -> ExpectedPart:
    per_minute = (budget.queries, budget.series, budget.bytes)
    use = Use(*(ceil(budget.per_minute(amount)) for amount in per_minute))
    return ExpectedPart(budget.what, budget.every_s or 0.0, use)
