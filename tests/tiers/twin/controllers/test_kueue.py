"""Kueue: who is let in, on whose quota, who must give it back, and what never happens."""

import pytest

from tests.tiers.twin.kube import objects
from tiers.twin.controllers.config import QUEUE_KEY, WORK_KEY
from tiers.twin.controllers.kueue.jobs import find
from tiers.twin.controllers.pods import condition
from tiers.twin.kube.resources import (
    CLUSTER_QUEUES,
    COHORTS,
    EVENTS,
    JOBS,
    LOCAL_QUEUES,
    NODES,
    PRIORITY_CLASSES,
    RESOURCE_FLAVORS,
    WORKLOADS,
)

GPU = "nvidia.com/gpu"
RECLAIM = {"reclaimWithinCohort": "Any"}


@pytest.fixture
def kueue(world):
    """Four training nodes of eight GPUs, one flavor, and no queue yet."""
    for number in range(4):
        world.add_node(f"n{number}", tier="training")
    labels = {"nodeLabels": {"infra-console.dev/tier": "training"}}
    world.add(RESOURCE_FLAVORS, {"metadata": {"name": "h100"}, "spec": labels})
    return world


def queue(world, name: str, quota: int, cohort: str = "", *, limits=None, **spec) -> None:
    resource = {"name": GPU, "nominalQuota": quota, **(limits or {})}
    flavor = {"name": "h100", "resources": [resource]}
    group = {"coveredResources": [GPU], "flavors": [flavor]}
    spec = {"namespaceSelector": {}, "resourceGroups": [group], **spec}
    spec |= {"cohortName": cohort} if cohort else {}
    world.add(CLUSTER_QUEUES, {"metadata": {"name": name}, "spec": spec})
    local = {"metadata": {"name": name}, "spec": {"clusterQueue": name}}
    world.add(LOCAL_QUEUES, local, "training")


def job(world, name: str, pods: int, at: str = "main", priority: str = "", **notes) -> None:
    template = {"spec": objects.pod_spec(tier="training", gpus=8) | {"restartPolicy": "Never"}}
    del template["spec"]["nodeSelector"]
    if priority:
        template["spec"]["priorityClassName"] = priority
    metadata = {"name": name, "labels": {QUEUE_KEY: at}, "annotations": notes}
    spec = {"parallelism": pods, "completions": pods, "template": template}
    world.add(JOBS, {"metadata": metadata, "spec": spec}, "training")


def get_job(world, name: str) -> dict:
    return world.store.get(JOBS, "training", name)


def workload(world, name: str) -> dict:
    return find(world.store, get_job(world, name))


def said(world, name: str, kind: str) -> tuple[str, str]:
    found = condition(workload(world, name), kind) or {"status": "", "reason": ""}
    return found["status"], found["reason"]


def admitted(world) -> set[str]:
    names = (j["metadata"]["name"] for j in world.store.all(JOBS))
    return {name for name in names if said(world, name, "Admitted")[0] == "True"}


def change(world, resource, name: str, namespace: str = "", **spec) -> None:
    held = world.store.get(resource, namespace, name)
    world.store.put(resource, {**held, "spec": held["spec"] | spec})


def set_quota(world, name: str, quota: int) -> None:
    held = world.store.get(CLUSTER_QUEUES, "", name)["spec"]["resourceGroups"][0]
    resource = held["flavors"][0]["resources"][0] | {"nominalQuota": quota}
    flavor = held["flavors"][0] | {"resources": [resource]}
    change(world, CLUSTER_QUEUES, name, resourceGroups=[held | {"flavors": [flavor]}])


def classes(world) -> None:
    for name, value in (("low", 10), ("high", 100)):
        world.add(PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value})


def status(world, name: str) -> dict:
    return world.store.get(CLUSTER_QUEUES, "", name)["status"]


def test_a_job_waits_suspended_and_then_runs_on_the_flavors_nodes(kueue):
    job(kueue, "a", 2)
    kueue.live(2)
    assert kueue.pods("training"), "without queues nothing holds a job"
    kueue.store.remove(JOBS, "training", "a")
    kueue.live(20)
    queue(kueue, "main", 16)
    job(kueue, "a", 2)
    job(kueue, "b", 1)
    kueue.live(2)
    assert admitted(kueue) == {"a"}
    assert get_job(kueue, "a")["spec"]["suspend"] is False
    inner = get_job(kueue, "a")["spec"]["template"]["spec"]
    assert inner["nodeSelector"] == {"infra-console.dev/tier": "training"}
    assert get_job(kueue, "b")["spec"]["suspend"] is True
    kueue.live(20)
    assert len(kueue.pods("training")) == 2
    owner = workload(kueue, "a")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("Job", "a")


def test_a_workload_says_why_it_waits(kueue):
    queue(kueue, "main", 16)
    job(kueue, "a", 1)
    job(kueue, "b", 2)
    job(kueue, "c", 3)
    job(kueue, "d", 1, at="nowhere")
    kueue.live(4)
    message = condition(workload(kueue, "b"), "QuotaReserved")["message"]
    assert "insufficient unused quota for nvidia.com/gpu in flavor h100, 8 more needed" in message
    assert "24 > 16" in condition(workload(kueue, "c"), "QuotaReserved")["message"]
    assert said(kueue, "d", "QuotaReserved") == ("False", "Inadmissible")


def test_a_queue_counts_what_it_holds_and_what_waits(kueue):
    queue(kueue, "main", 8, "all")
    queue(kueue, "other", 8, "all")
    job(kueue, "a", 2)
    job(kueue, "b", 1)
    kueue.live(4)
    counts = ("pendingWorkloads", "reservingWorkloads", "admittedWorkloads")
    assert [status(kueue, "main")[key] for key in counts] == [1, 1, 1]
    resources = [{"name": GPU, "total": "16", "borrowed": "8"}]
    assert status(kueue, "main")["flavorsUsage"] == [{"name": "h100", "resources": resources}]
    local = kueue.store.get(LOCAL_QUEUES, "training", "main")["status"]
    assert (local["pendingWorkloads"], local["admittedWorkloads"]) == (1, 1)


def test_lowering_a_quota_evicts_nobody(kueue):
    queue(kueue, "main", 32)
    job(kueue, "a", 3)
    kueue.live(40)
    set_quota(kueue, "main", 8)
    job(kueue, "b", 1)
    kueue.live(120)
    assert admitted(kueue) == {"a"} and len(kueue.pods("training")) == 3
    assert status(kueue, "main")["flavorsUsage"][0]["resources"][0]["borrowed"] == "16"


def test_deactivating_a_workload_frees_its_quota_and_it_stays_away(kueue):
    queue(kueue, "main", 16)
    job(kueue, "a", 2)
    kueue.live(40)
    job(kueue, "b", 2)
    name = workload(kueue, "a")["metadata"]["name"]
    change(kueue, WORKLOADS, name, "training", active=False)
    kueue.live(2)
    assert said(kueue, "a", "Evicted") == ("True", "Deactivated")
    assert said(kueue, "a", "QuotaReserved")[0] == "True", "its pods still hold the quota"
    assert "EvictedDueToDeactivated" in {e["reason"] for e in kueue.store.all(EVENTS)}
    kueue.live(60)
    assert admitted(kueue) == {"b"}
    assert get_job(kueue, "a")["spec"]["suspend"] is True
    kueue.store.remove(JOBS, "training", "b")
    kueue.live(60)
    assert admitted(kueue) == set()
    change(kueue, WORKLOADS, name, "training", active=True)
    kueue.live(10)
    assert admitted(kueue) == {"a"} and said(kueue, "a", "Evicted")[0] == "False"


def test_an_owner_reclaims_what_others_borrowed_and_they_queue_again(kueue):
    queue(kueue, "main", 16, "all", preemption=RECLAIM)
    queue(kueue, "guest", 16, "all")
    for name in ("g1", "g2", "g3", "g4"):
        job(kueue, name, 1, at="guest")
    kueue.live(40)
    assert len(admitted(kueue)) == 4
    job(kueue, "a", 1)
    kueue.live(2)
    evicted = {n for n in ("g1", "g2", "g3", "g4") if said(kueue, n, "Evicted")[0] == "True"}
    assert len(evicted) == 1
    (victim,) = evicted
    assert said(kueue, victim, "Evicted")[1] == "Preempted"
    assert said(kueue, victim, "Preempted") == ("True", "InCohortReclamation")
    kueue.live(40)
    assert admitted(kueue) == {"a", "g1", "g2", "g3", "g4"} - evicted
    assert said(kueue, victim, "Requeued")[0] == "True"
    assert get_job(kueue, victim)["spec"]["suspend"] is True


def test_without_the_right_to_reclaim_the_owner_waits(kueue):
    queue(kueue, "main", 16, "all")
    queue(kueue, "guest", 16, "all")
    job(kueue, "g", 4, at="guest")
    kueue.live(20)
    job(kueue, "a", 1)
    kueue.live(20)
    assert admitted(kueue) == {"g"}


def test_reclaiming_from_lower_priority_only_leaves_equals_alone(kueue):
    classes(kueue)
    queue(kueue, "main", 16, "all", preemption={"reclaimWithinCohort": "LowerPriority"})
    queue(kueue, "guest", 16, "all")
    job(kueue, "equal", 3, at="guest", priority="high")
    job(kueue, "lower", 1, at="guest", priority="low")
    kueue.live(20)
    job(kueue, "a", 1, priority="high")
    kueue.live(40)
    assert admitted(kueue) == {"equal", "a"}


def test_an_owner_takes_no_more_than_its_own_by_reclaiming(kueue):
    queue(kueue, "main", 8, "all", preemption=RECLAIM)
    queue(kueue, "guest", 24, "all")
    job(kueue, "g", 3, at="guest")
    job(kueue, "g2", 1, at="guest")
    kueue.live(20)
    job(kueue, "a", 2)
    kueue.live(20)
    assert admitted(kueue) == {"g", "g2"}


def test_borrowing_and_lending_stop_at_their_limits(kueue):
    queue(kueue, "main", 8, "all", limits={"borrowingLimit": 8})
    queue(kueue, "guest", 24, "all", limits={"lendingLimit": 8})
    for name in ("a", "b", "c"):
        job(kueue, name, 1)
    kueue.live(4)
    assert len(admitted(kueue)) == 2
    queue(kueue, "third", 0, "all")
    job(kueue, "d", 1, at="third")
    kueue.live(4)
    assert "d" not in admitted(kueue), "all that is lent is taken"


def test_quota_comes_down_through_a_tree_of_cohorts(kueue):
    group = {"coveredResources": [GPU], "flavors": [
        {"name": "h100", "resources": [{"name": GPU, "nominalQuota": 16}]}]}  # fmt: skip
    kueue.add(COHORTS, {"metadata": {"name": "root"}, "spec": {"resourceGroups": [group]}})
    kueue.add(COHORTS, {"metadata": {"name": "team"}, "spec": {"parentName": "root"}})
    queue(kueue, "main", 0, "team")
    job(kueue, "a", 2)
    job(kueue, "b", 1)
    kueue.live(4)
    assert admitted(kueue) == {"a"}


def test_higher_priority_preempts_within_its_queue_where_allowed(kueue):
    classes(kueue)
    queue(kueue, "main", 16, preemption={"withinClusterQueue": "LowerPriority"})
    job(kueue, "low", 2, priority="low")
    kueue.live(20)
    job(kueue, "same", 2, priority="low")
    kueue.live(20)
    assert admitted(kueue) == {"low"}
    job(kueue, "high", 1, priority="high")
    kueue.live(40)
    assert admitted(kueue) == {"high"}
    assert said(kueue, "low", "Preempted") == ("True", "InClusterQueue")


@pytest.mark.parametrize(("strategy", "passes"), [("StrictFIFO", False), ("BestEffortFIFO", True)])
def test_a_head_that_does_not_fit_blocks_only_a_strict_queue(kueue, strategy, passes):
    queue(kueue, "main", 16, queueingStrategy=strategy)
    job(kueue, "a", 1)
    kueue.live(2)
    job(kueue, "b", 2)
    kueue.live(2)
    job(kueue, "c", 1)
    kueue.live(4)
    assert ("c" in admitted(kueue)) == passes


def test_a_held_queue_lets_run_what_runs_and_a_drained_one_does_not(kueue):
    queue(kueue, "main", 32)
    job(kueue, "a", 1)
    kueue.live(20)
    change(kueue, CLUSTER_QUEUES, "main", stopPolicy="Hold")
    job(kueue, "b", 1)
    kueue.live(20)
    assert admitted(kueue) == {"a"}
    assert condition(kueue.store.get(CLUSTER_QUEUES, "", "main"), "Active")["reason"] == "Stopped"
    change(kueue, CLUSTER_QUEUES, "main", stopPolicy="HoldAndDrain")
    kueue.live(20)
    assert admitted(kueue) == set()
    assert said(kueue, "a", "Evicted") == ("True", "ClusterQueueStopped")
    change(kueue, CLUSTER_QUEUES, "main", stopPolicy="None")
    kueue.live(20)
    assert admitted(kueue) == {"a", "b"}


def test_a_job_that_somebody_starts_by_hand_is_suspended_again(kueue):
    queue(kueue, "main", 8)
    job(kueue, "a", 1)
    job(kueue, "b", 1)
    kueue.live(2)
    change(kueue, JOBS, "b", "training", suspend=False)
    kueue.live(4)
    assert get_job(kueue, "b")["spec"]["suspend"] is True
    assert {p["metadata"]["name"] for p in kueue.pods("training")} == {"a-0"}


def test_a_finished_job_gives_its_quota_back(kueue):
    queue(kueue, "main", 8)
    job(kueue, "a", 1, **{WORK_KEY: "20"})
    job(kueue, "b", 1)
    kueue.live(60)
    assert "b" in admitted(kueue)
    assert said(kueue, "a", "Finished") == ("True", "Succeeded")


def test_a_gang_that_fits_no_block_stays_pending_with_free_quota(kueue):
    queue(kueue, "main", 32)
    for number in range(4):
        node = kueue.store.get(NODES, "", f"n{number}")
        labels = node["metadata"]["labels"] | {"nvidia.com/block": f"b{number % 2}"}
        kueue.store.put(NODES, {**node, "metadata": node["metadata"] | {"labels": labels}})
    job(kueue, "a", 3)
    held = get_job(kueue, "a")
    notes = {"kueue.x-k8s.io/podset-required-topology": "nvidia.com/block"}
    template = held["spec"]["template"] | {"metadata": {"annotations": notes}}
    kueue.store.put(JOBS, {**held, "spec": held["spec"] | {"template": template}})
    kueue.live(4)
    assert admitted(kueue) == set()
    message = condition(workload(kueue, "a"), "QuotaReserved")["message"]
    assert "allows to fit only 2 out of 3 pod(s)" in message
