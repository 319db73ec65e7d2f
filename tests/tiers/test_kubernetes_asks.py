"""Waiting work and quotas as a cluster's API tells them."""

from datetime import UTC, datetime, timedelta

import pytest

from infra_console.cluster.errors import ClusterUnavailable
from tests.tiers.factories import fleet_config
from tiers.adapters import kubernetes_asks
from tiers.core.waiting import Release
from tiers.facts import fleet_facts

GPU_CONTAINER = {"resources": {"requests": {"nvidia.com/gpu": "8"}}}
MESSAGE = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu"


def workload(name, *conditions, **spec):
    return {
        "metadata": {"namespace": "training", "name": name,
                     "creationTimestamp": "2026-03-01T10:00:00Z"},
        "spec": {"queueName": "research", "priority": 5, "podSets": [
            {"count": 2, "template": {"spec": {"containers": [GPU_CONTAINER]}}}], **spec},
        "status": {"conditions": list(conditions)},
    }  # fmt: skip


WAITS = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": MESSAGE}
ADMITTED = {"type": "Admitted", "status": "True", "lastTransitionTime": "2026-03-01T11:00:00Z"}
POD = {
    "metadata": {"namespace": "inference", "name": "chat-1",
                 "creationTimestamp": "2026-03-01T09:00:00Z"},
    "spec": {"containers": [GPU_CONTAINER], "nodeName": "n1"},
    "status": {"phase": "Pending", "containerStatuses": [
        {"image": "registry/chat:9", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
}  # fmt: skip


@pytest.fixture
def facts():
    return fleet_facts(fleet_config())


def read_asks(cluster, facts):
    return kubernetes_asks.read_asks(cluster, facts, kubernetes_asks.read_workloads(cluster))


def answers(monkeypatch, **lists):
    def custom(_cluster, plural):
        if plural not in lists:
            raise ClusterUnavailable("north", f"list {plural}: 404")
        return lists[plural]

    monkeypatch.setattr(kubernetes_asks, "_custom", custom)
    monkeypatch.setattr(kubernetes_asks, "pods_raw", lambda *_, **__: lists.get("pods", []))


def test_gangs_that_run_tell_priority_start_and_deadline(monkeypatch, facts):
    runs = workload("b", ADMITTED, maximumExecutionTimeSeconds=7200)
    runs["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "train-b"}]
    ended = workload("c", ADMITTED, {"type": "Finished", "status": "True"})
    answers(monkeypatch, workloads=[workload("a", WAITS), runs, ended])
    (gang,) = kubernetes_asks.running_gangs(kubernetes_asks.read_workloads("north"), facts)
    assert (gang.name, gang.tier, gang.gpus, gang.priority) == ("train-b", "training", 16, 5)
    assert gang.started_at == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert gang.deadline_at == datetime(2026, 3, 1, 13, tzinfo=UTC)


def test_a_gang_that_waits_is_one_ask_in_kueues_words(monkeypatch, facts):
    answers(monkeypatch, workloads=[workload("a", WAITS), workload("b", ADMITTED)])
    (ask,), ends = read_asks("north", facts)
    assert (ask.name, ask.gpus, ask.gpus_per_pod, ask.priority) == ("a", 16, 8, 5)
    assert ask.said == (MESSAGE,)
    assert ask.since == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert ends == []


def test_an_admitted_gang_with_a_deadline_ends_by_it(monkeypatch, facts):
    limited = workload("b", ADMITTED, maximumExecutionTimeSeconds=7200)
    answers(monkeypatch, workloads=[limited])
    asks, (end,) = read_asks("north", facts)
    began = datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert asks == []
    assert end == Release(began + timedelta(hours=2), "training", 16)


def test_without_kueue_pods_are_read_all_the_same(monkeypatch, facts):
    answers(monkeypatch, pods=[POD])
    (ask,), _ = read_asks("north", facts)
    assert (ask.tier, ask.gpus) == ("inference", 8)
    assert ask.said[0].startswith("ImagePullBackOff")


def test_quotas_are_gpus_of_queues(monkeypatch):
    flavors = [{"name": "h100", "resources": [{"name": "nvidia.com/gpu", "nominalQuota": "1k"}]},
               {"name": "a100", "resources": [{"name": "cpu", "nominalQuota": "9"}]}]  # fmt: skip
    queue = {"metadata": {"name": "research"}, "spec": {"resourceGroups": [{"flavors": flavors}]}}
    answers(monkeypatch, clusterqueues=[queue])
    monkeypatch.setattr(kubernetes_asks, "_limits", lambda _cluster: None)
    assert kubernetes_asks.read_quotas("north") == {"queue research": 1000}


def test_quotas_nobody_may_read_are_unknown_not_none(monkeypatch):
    answers(monkeypatch)
    monkeypatch.setattr(kubernetes_asks, "_limits", lambda _cluster: None)
    assert kubernetes_asks.read_quotas("north") is None
