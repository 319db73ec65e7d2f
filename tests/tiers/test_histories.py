"""Demand histories: an empty queue asks for nothing, a silent exporter tells nothing."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.tiers.factories import fleet_config
from tiers.facts import fleet_facts
from tiers.histories import read_histories

pytestmark = pytest.mark.usefixtures("fleet")
ASKED, NODES = "cluster_namespace_phase:gpus_requested:sum", "cluster:nodes:count"


def history(now, cluster="north", workload="training"):
    found = read_histories(fleet_facts(fleet_config()), now=now, days=1)
    if (cluster, workload) not in found.keys:
        return None
    return found.matrix[found.keys.index((cluster, workload))]


def without_training(source):
    kept = [s for s in source.data[ASKED] if s.labels["namespace"] != "training"]
    source.data = {**source.data, ASKED: kept}


def test_an_empty_queue_asks_for_nothing_where_kube_state_metrics_answers(metrics):
    now = datetime.now(UTC)
    without_training(metrics(now, 5.0))
    assert set(history(now)) == {0.0}


def test_an_empty_queue_is_unknown_where_nothing_answers(metrics):
    now = datetime.now(UTC)
    source = metrics(now, 5.0)
    without_training(source)
    source.data = {k: v for k, v in source.data.items() if k != NODES}
    assert history(now) is None


def test_a_silent_exporter_leaves_a_gap_and_an_empty_hour_a_zero(metrics):
    now = datetime.now(UTC)
    source = metrics(now, 5.0)
    (nodes,), day_s = source.data[NODES], now.timestamp() - 86_400
    silent = (nodes.times > day_s + 3600) & (nodes.times < day_s + 7200)
    idle = (nodes.times > day_s + 18_000) & (nodes.times < day_s + 21_600)

    def cut(series, hole):
        return replace(series, times=series.times[~hole], values=series.values[~hole])

    source.data = {
        **source.data,
        NODES: [cut(nodes, silent)],
        ASKED: [cut(s, silent | idle) for s in source.data[ASKED]],
    }
    row = history(now)
    assert np.isnan(row).any()
    assert set(row[~np.isnan(row)]) == {0.0, 8.0}
