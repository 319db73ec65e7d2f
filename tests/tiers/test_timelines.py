"""Sums over time: over all namespaces of a tier, and never silently low."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from infra_console.fleet.services import apply_fleet_config
from tests.tiers.factories import fleet_config, fleet_document
from tiers.core.fleet_state import FleetState
from tiers.core.forecast.quantiles import QUANTILES
from tiers.facts import fleet_facts
from tiers.histories import read_histories
from tiers.models import Cycle, MeasuredThroughput, WorkloadForecast
from tiers.observation import build_observation, read_metrics
from tiers.timelines import P5, P50, P95, tier_forecast, tier_history

pytestmark = pytest.mark.usefixtures("fleet")
ASKED, BUSY = (
    "cluster_namespace_phase:gpus_requested:sum",
    "cluster_namespace:dcgm_gr_engine_active:sum",
)
TIER = "cluster_tier:gpus_allocatable:sum"


def last_hours(tier: str, now: datetime) -> dict:
    return tier_history(tier, start=now - timedelta(hours=4), end=now, step_s=1800)


def two_namespaces() -> None:
    tiers = fleet_document()["tiers"]
    tiers["namespaces"]["research"] = "training"
    apply_fleet_config(fleet_config(tiers=tiers), by="tester")


def with_research(source) -> None:
    """Everything that training does, research does too."""
    extra = {
        name: [
            *source.data[name],
            *(
                replace(s, labels={**s.labels, "namespace": "research"})
                for s in source.data[name]
                if s.labels.get("namespace") == "training"
            ),
        ]
        for name in (ASKED, BUSY)
    }
    source.data = {**source.data, **extra}


def test_every_namespace_of_a_tier_counts(metrics, north):
    now = datetime.now(UTC)
    two_namespaces()
    with_research(metrics(now, 5.0))
    found = last_hours("training", now)
    assert (found["busy"][-1], found["asked"][-1]) == (16.0, 16.0)
    facts = fleet_facts(fleet_config(tiers={"namespaces": {
        "inference": "inference", "training": "training", "research": "training"}}))  # fmt: skip
    document = build_observation(
        facts, FleetState({"north": north}), read_metrics(), now=now, previous=None
    )
    assert document["clusters"]["north"]["tiers"]["training"]["busy_gpus"] == 16.0
    histories = read_histories(facts, now=now, days=1)
    row = histories.matrix[histories.keys.index(("north", "training"))]
    assert set(row) == {16.0}


def test_a_namespace_without_gpus_is_idle_where_the_exporter_answers(metrics, north):
    now = datetime.now(UTC)
    two_namespaces()
    metrics(now, 5.0)  # research has no series
    assert last_hours("training", now)["busy"][-1] == 8.0


def cut(source, name: str, keep) -> None:
    kept = [replace(s, times=s.times[keep(s)], values=s.values[keep(s)]) for s in source.data[name]]
    source.data = {**source.data, name: kept}


def test_a_cluster_whose_samples_begin_late_is_unknown_before_not_zero(metrics):
    now = datetime.now(UTC)
    source = metrics(now, 5.0)
    for name in (TIER, "cluster:nodes:count"):
        cut(source, name, lambda s: s.times > now.timestamp() - 7200)
    gpus = last_hours("training", now)["gpus"]
    assert gpus[0] is None
    assert gpus[-1] == 16.0


def test_a_tier_that_gets_its_first_node_late_had_none_before(metrics):
    now = datetime.now(UTC)
    cut(metrics(now, 5.0), TIER, lambda s: s.times > now.timestamp() - 7200)
    gpus = last_hours("training", now)["gpus"]
    assert (gpus[0], gpus[-1]) == (0.0, 16.0)


def with_south() -> None:
    document = fleet_document()
    (region,), (pool,) = document["regions"], document["pools"]
    workloads = [w | {"regions": ["north", "south"]} for w in document["workloads"]]
    config = fleet_config(
        regions=[region, region | {"id": "south"}],
        clusters=[{"id": c, "context": c, "region": c} for c in ("north", "south")],
        pools=[pool, pool | {"id": "south/H100", "cluster": "south"}],
        workloads=workloads,
    )
    apply_fleet_config(config, by="tester")


def test_a_cluster_of_which_nothing_is_known_is_named(metrics):
    now = datetime.now(UTC)
    with_south()
    metrics(now, 5.0)
    found = last_hours("training", now)
    assert found["missing"] == ("south",)
    assert found["gpus"][-1] == 16.0


def forecast_of(cycle: Cycle, cluster: str) -> None:
    WorkloadForecast.objects.create(
        cycle=cycle, cluster=cluster, workload="chat", tier="inference", unit="requests/s",
        made_at=cycle.started_at, step_s=600, model_2h="last", model_4h="last",
        quantiles=[[10.0 * q for q in QUANTILES]] * 24,
    )  # fmt: skip


def test_a_forecast_that_lacks_a_cluster_says_which():
    with_south()
    cycle = Cycle.objects.create(started_at=timezone.now(), state="done", requested_by="x")
    forecast_of(cycle, "north")
    band = tier_forecast("inference")
    assert (band.partial, band.missing) == (True, ("south",))
    assert not tier_forecast("inference", region="north").partial
    forecast_of(cycle, "south")
    assert not tier_forecast("inference").partial


def test_pages_name_the_quantiles_that_the_forecast_has():
    assert [QUANTILES[place] for place in (P5, P50, P95)] == [0.05, 0.5, 0.95]


def test_a_forecast_in_gpus_follows_the_throughput_that_was_measured():
    cycle = Cycle.objects.create(started_at=timezone.now(), state="done", requested_by="x")
    forecast_of(cycle, "north")
    # p50 is 5 requests/s; the fleet file says that 4 GPUs serve 5.
    assert tier_forecast("inference").p50[0] == pytest.approx(4.0)
    MeasuredThroughput.objects.create(
        model="chat", gpu_type="H100", requests_per_s=0.5, tokens_per_s=900.0, at=timezone.now()
    )
    assert tier_forecast("inference").p50[0] == pytest.approx(10.0)
