"""The twin's past: replicas after a policy, queues, recorded series, OpenMetrics."""

import io
from collections import defaultdict

import numpy as np
import pytest

from tests.tiers.twin.objects import NOW_S
from tiers.core.simulate.buckets import TTFT_EDGES_S
from tiers.twin import history
from tiers.twin.demand import BuiltInDemand
from tiers.twin.history import Series, history_times, past_series, write_openmetrics
from tiers.twin.operating import GRID_LOADS, OperatingCurve, operating_curve, quantile_of
from tiers.twin.past_training import past_training
from tiers.twin.policy import inference_gpus, past_groups
from tiers.twin.profile import INFERENCE_BY_ID, REGION_IDS

DEMAND = BuiltInDemand(seed=1)
TIMES = history_times(NOW_S + 123.4, 2.0)
# The names the console and deploy/prometheus/rules.yml share, with their labels.
RECORDED = {
    "cluster_model:vllm_arrivals:rate5m": {"cluster", "model_name"},
    "cluster_model:vllm_ttft_seconds:p95_5m": {"cluster", "model_name"},
    "cluster_model_le:vllm_ttft_within:ratio_5m": {"cluster", "model_name", "le"},
    "cluster_model:vllm_requests_waiting:sum": {"cluster", "model_name"},
    "cluster_model:vllm_requests_running:sum": {"cluster", "model_name"},
    "cluster_model:vllm_kv_cache_usage:avg": {"cluster", "model_name"},
    "cluster_namespace:dcgm_gr_engine_active:sum": {"cluster", "namespace"},
    "cluster_namespace:dcgm_gpus:count": {"cluster", "namespace"},
    "cluster_namespace_phase:gpus_requested:sum": {"cluster", "namespace", "phase"},
    "cluster_tier:gpus_allocatable:sum": {"cluster", "tier"},
    "cluster:nodes_ready:sum": {"cluster"},
    "cluster:nodes:count": {"cluster"},
    "twin_history_info": {"demand", "source", "step"},
}


@pytest.fixture(scope="module")
def series():
    curve = operating_curve("chat-405b", measure_s=60.0)
    patch = pytest.MonkeyPatch()
    # One model's curve stands for all: this is about the series, not about their levels.
    patch.setattr(history, "operating_curve", lambda model: curve)
    made = list(past_series(DEMAND, seed=1, t_s=TIMES))
    patch.undo()
    return made


def only(series, name, **labels):
    (found,) = [s.values for s in series if s.name == name and dict(s.labels) == labels]
    return found


def test_times_are_multiples_of_five_minutes_and_end_now():
    assert TIMES[-1] == NOW_S
    assert len(TIMES) == 2 * 288
    assert not (TIMES % 300).any()


def test_every_recorded_series_is_there_with_its_labels(series):
    assert {s.name for s in series} == set(RECORDED)
    for one in series:
        assert set(one.labels) == RECORDED[one.name]
        assert one.values.shape == TIMES.shape
    keys = [(s.name, tuple(sorted(s.labels.items()))) for s in series]
    assert len(set(keys)) == len(keys)


def test_gpus_by_namespace_sum_to_the_cluster(series):
    total = np.zeros_like(TIMES)
    for namespace in ("inference", "training", "operational", ""):
        where = {"cluster": "eastus", "namespace": namespace}
        gpus = only(series, "cluster_namespace:dcgm_gpus:count", **where)
        busy = only(series, "cluster_namespace:dcgm_gr_engine_active:sum", **where)
        assert (busy <= gpus).all()
        assert (gpus >= 0).all()
        total += gpus
    assert (total == 112).all()


def test_arrivals_scatter_around_the_demand(series):
    arrivals = only(series, "cluster_model:vllm_arrivals:rate5m", cluster="eastus",
                    model_name="chat-7b")  # fmt: skip
    rate = DEMAND.rate_rps("eastus", "chat-7b", TIMES)
    spread = (arrivals - rate) / np.sqrt(rate / 300)
    assert spread.mean() == pytest.approx(0.0, abs=0.15)
    assert spread.std() == pytest.approx(1.0, abs=0.12)


def test_p95_agrees_with_the_share_under_the_objective(series):
    who = {"cluster": "eastus", "model_name": "chat-405b"}
    p95 = only(series, "cluster_model:vllm_ttft_seconds:p95_5m", **who)
    within = only(series, "cluster_model_le:vllm_ttft_within:ratio_5m", le="2.5", **who)
    assert ((p95 <= 2.5) == (within >= 0.95)).all()


def test_groups_follow_demand_within_the_gpus_there_are():
    week = np.arange(NOW_S - 7 * 86_400, NOW_S, 300.0)
    for cluster in ("eastus", "uksouth", "brazilsouth"):
        groups = past_groups(DEMAND, cluster, week)
        used = sum(n * INFERENCE_BY_ID[m].gpus_per_group for m, n in groups.items())
        assert used.max() <= inference_gpus(cluster) == 40
        assert all(n.min() >= INFERENCE_BY_ID[m].floor_groups for m, n in groups.items())
        assert used.min() < 0.75 * used.max()


def test_groups_are_short_only_when_the_region_is_full():
    week = np.arange(NOW_S - 7 * 86_400, NOW_S, 300.0)
    groups = past_groups(DEMAND, "uksouth", week)
    alone = past_groups(_Lifted(3.0), "uksouth", week)
    for clipped in (groups, alone):
        used = sum(n * INFERENCE_BY_ID[m].gpus_per_group for m, n in clipped.items())
        assert used.max() <= 40
    used = sum(n * INFERENCE_BY_ID[m].gpus_per_group for m, n in alone.items())
    # With three times the demand the region stays full, but for what no group fits into.
    assert np.median(used) >= 38


class _Lifted:
    description, notes = "lifted", ()

    def __init__(self, factor):
        self.factor = factor

    def rate_rps(self, region, model, t_s):
        return self.factor * DEMAND.rate_rps(region, model, t_s)


def test_training_nodes_are_nearly_always_full_with_a_bounded_backlog():
    week = np.arange(NOW_S - 7 * 86_400, NOW_S, 300.0)
    past = past_training(1, "eastus", week)
    assert past.running_nodes.max() <= 6
    assert past.running_nodes.mean() > 4.5
    assert 0.5 < past.pending_nodes.mean() < 12


def test_the_past_does_not_depend_on_how_much_of_it_is_asked_for():
    day = np.arange(NOW_S - 86_400, NOW_S, 300.0)
    longer = past_groups(DEMAND, "eastus", np.arange(NOW_S - 2 * 86_400, NOW_S, 300.0))
    for model, groups in past_groups(DEMAND, "eastus", day).items():
        assert np.array_equal(groups, longer[model][-len(groups) :])


def test_heavier_load_on_the_grid_waits_longer():
    curve = operating_curve("chat-70b", measure_s=60.0)
    p95 = quantile_of(curve.within_at(np.array([0.4, 1.6])), 0.95)
    assert p95[1] > 3 * p95[0]
    assert np.all(np.diff(curve.running_per_replica) > 0)


def test_quantile_reads_cumulative_shares_as_prometheus_does():
    within = np.zeros((1, len(TTFT_EDGES_S)))
    within[0, TTFT_EDGES_S.index(0.5) :] = 0.9
    within[0, TTFT_EDGES_S.index(1.0) :] = 1.0
    # From 0.75 to 1.0 the share rises from 0.9 to 1.0.
    assert quantile_of(within, 0.95) == pytest.approx([0.875])


def test_the_grid_is_read_between_its_points():
    column = np.arange(len(GRID_LOADS), dtype=float)
    curve = OperatingCurve(column[:, None], column, column, column, column)
    middle = (GRID_LOADS[2] + GRID_LOADS[3]) / 2
    assert curve.read(curve.kv_usage, np.array([middle, 99.0])) == pytest.approx([2.5, column[-1]])


def test_openmetrics_leaves_unknown_out_and_ends_with_eof():
    out = io.StringIO()
    one = Series("a:b:c", {"cluster": "x", "namespace": ""}, np.array([1.5, np.nan]))
    two = Series("a:b:c", {"cluster": "y", "namespace": "z"}, np.array([0.0, 2.0]))
    assert write_openmetrics(iter([one, two]), np.array([300.0, 600.0]), out) == 3
    assert out.getvalue() == (
        "# TYPE a:b:c gauge\n"
        'a:b:c{cluster="x"} 1.5 300\n'
        'a:b:c{cluster="y",namespace="z"} 0 300\n'
        'a:b:c{cluster="y",namespace="z"} 2 600\n'
        "# EOF\n"
    )


def test_families_are_written_in_one_piece(series):
    seen = defaultdict(int)
    last = ""
    for one in series:
        if one.name != last:
            seen[one.name] += 1
            last = one.name
    assert set(seen.values()) == {1}


def test_every_cluster_has_a_past(series):
    clusters = {s.labels["cluster"] for s in series if "cluster" in s.labels}
    assert clusters == set(REGION_IDS)
