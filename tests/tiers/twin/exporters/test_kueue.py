"""Kueue's metrics, from its objects as they stand and as they change."""

import pytest

from tests.tiers.twin.exporters.showcase import condition, put_workload, showcase
from tests.tiers.twin.exporters.text import parse, pick
from tests.tiers.twin.objects import small_cluster
from tiers.twin.exporters.kueue import render_kueue
from tiers.twin.kube.resources import WORKLOADS

ADMITTED = [condition("QuotaReserved"), condition("Admitted")]


@pytest.fixture
def store():
    return showcase()


def test_a_cluster_without_queues_serves_nothing():
    assert render_kueue(small_cluster()) == ""


def test_quotas_and_their_use(store):
    samples = parse(render_kueue(store))
    where = {"cohort": "all", "cluster_queue": "research", "flavor": "h100",
             "resource": "nvidia.com/gpu"}  # fmt: skip
    for name, wanted in (
        ("nominal_quota", 64), ("borrowing_limit", 16), ("lending_limit", 8),
        ("resource_usage", 24), ("resource_reservation", 24),
    ):  # fmt: skip
        assert pick(samples, f"kueue_cluster_queue_{name}", **where) == [wanted]
    status = {"cluster_queue": "research", "status": "active"}
    assert pick(samples, "kueue_cluster_queue_status", **status) == [1]


def test_workloads_are_counted_where_they_stand(store):
    put_workload(store, "waits", [condition("QuotaReserved")])
    samples = parse(render_kueue(store))
    counts = [
        pick(samples, name, **more)
        for name, more in (
            ("kueue_pending_workloads", {"status": "active"}),
            ("kueue_pending_workloads", {"status": "inadmissible"}),
            ("kueue_reserving_active_workloads", {}),
            ("kueue_admitted_active_workloads", {}),
        )
    ]
    assert counts == [[0], [1], [1], [0]]


def test_events_are_counted_once_and_stay_after_the_workload_is_gone(store):
    render_kueue(store)
    put_workload(store, "waits", ADMITTED)
    path = "Preempted (UID: 7); preemptor path: /all/urgent; preemptee path: /all/research"
    put_workload(store, "waits", [
        *ADMITTED, condition("Evicted", reason="Preempted"),
        condition("Preempted", reason="InCohortReclamation", message=path),
    ])  # fmt: skip
    render_kueue(store)
    store.remove(WORKLOADS, "training", "waits")
    samples = parse(render_kueue(store))
    assert pick(samples, "kueue_admitted_workloads_total", cluster_queue="research") == [1]
    evicted = {"cluster_queue": "research", "reason": "Preempted"}
    assert pick(samples, "kueue_evicted_workloads_total", **evicted) == [1]
    preempted = {"preempting_cluster_queue": "urgent", "reason": "InCohortReclamation"}
    assert pick(samples, "kueue_preempted_workloads_total", **preempted) == [1]
    name = "kueue_admission_wait_time_seconds"
    assert pick(samples, f"{name}_count", cluster_queue="research") == [1]
    assert pick(samples, f"{name}_bucket", le="10240.0") == [1]
