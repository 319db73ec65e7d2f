"""`dryRun=All`: everything is checked and answered as if it were done, and nothing is kept.

https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, LEASE, POD
from tests.contract.kube import refused


def test_create_returns_the_object_and_keeps_nothing(kube, space):
    made = kube.create(DEPLOYMENT, space, objects.deployment("chat", space), dryRun="All")
    assert made["metadata"]["uid"]
    assert made["spec"]["strategy"]["type"] == "RollingUpdate"
    assert kube.find(DEPLOYMENT, space, "chat") is None


def test_create_is_validated(kube, space):
    with refused(422):
        body = objects.deployment("chat", space, replicas=-1)
        kube.create(DEPLOYMENT, space, body, dryRun="All")


def test_create_sees_that_a_name_is_taken(kube, space, lease):
    with refused(409) as caught:
        kube.create(LEASE, space, objects.lease("held"), dryRun="All")
    assert caught.value.reason == "AlreadyExists"


def test_replace_keeps_nothing(kube, space, lease):
    wanted = {**lease, "spec": {"holderIdentity": "console-b"}}
    answer = kube.replace(LEASE, space, "held", wanted, dryRun="All")
    assert answer["spec"]["holderIdentity"] == "console-b"
    assert kube.get(LEASE, space, "held") == lease


def test_a_stale_replace_is_a_conflict_all_the_same(kube, space, lease):
    kube.patch(LEASE, space, "held", {"spec": {"holderIdentity": "console-b"}})
    with refused(409):
        kube.replace(LEASE, space, "held", lease, dryRun="All")


@pytest.mark.parametrize("how", ["merge", "strategic", "json"])
def test_patch_keeps_nothing(kube, space, lease, how):
    body = {"spec": {"holderIdentity": "console-b"}}
    if how == "json":
        body = [{"op": "replace", "path": "/spec/holderIdentity", "value": "console-b"}]
    answer = kube.patch(LEASE, space, "held", body, how, dryRun="All")
    assert answer["spec"]["holderIdentity"] == "console-b"
    assert kube.get(LEASE, space, "held") == lease


def test_apply_keeps_nothing_and_tells_of_conflicts(kube, space):
    held = kube.apply(LEASE, space, "held", {"spec": {"holderIdentity": "them"}}, "them")
    ours = {"spec": {"holderIdentity": "us"}}
    with refused(409):
        kube.apply(LEASE, space, "held", ours, "us", dryRun="All")
    answer = kube.apply(LEASE, space, "held", ours, "us", dryRun="All", force=True)
    assert answer["spec"]["holderIdentity"] == "us"
    assert kube.get(LEASE, space, "held") == held


def test_delete_keeps_the_object(kube, space, lease):
    kube.delete(LEASE, space, "held", dryRun="All")
    assert kube.get(LEASE, space, "held") == lease


def test_delete_can_be_asked_for_in_the_body(kube, space, lease):
    kube.delete(LEASE, space, "held", {"dryRun": ["All"]})
    assert kube.get(LEASE, space, "held") == lease


def test_delete_of_a_missing_object_is_a_404_all_the_same(kube, space):
    with refused(404):
        kube.delete(LEASE, space, "gone", dryRun="All")


def test_scale_keeps_nothing(kube, space, deployed):
    body = {"spec": {"replicas": 7}}
    answer = kube.patch(DEPLOYMENT, space, "chat", body, "merge", "scale", dryRun="All")
    assert answer["spec"]["replicas"] == 7
    assert kube.get(DEPLOYMENT, space, "chat")["spec"]["replicas"] == 0


def test_eviction_keeps_the_pod(kube, space, running_pods):
    (pod,) = running_pods(1)
    kube.evict(space, pod["metadata"]["name"], dryRun="All")
    left = kube.get(POD, space, pod["metadata"]["name"])["metadata"]
    assert left["uid"] == pod["metadata"]["uid"]
    assert "deletionTimestamp" not in left


def test_a_blocked_eviction_is_a_429_all_the_same(kube, space, running_pods, guard):
    running_pods(2)
    guard(keep=2, healthy=2)
    with refused(429):
        kube.evict(space, "chat-0", dryRun="All")


def test_an_allowed_eviction_spends_nothing(kube, space, running_pods, guard):
    running_pods(2)
    guard(keep=1, healthy=2)
    for pod in ("chat-0", "chat-1"):
        kube.evict(space, pod, {"dryRun": ["All"]})
    assert len(kube.items(POD, space)) == 2


def test_another_word_than_all_is_refused(kube, space):
    with refused(422) as caught:
        kube.create(LEASE, space, objects.lease("held"), dryRun="Some")
    assert "dryRun" in caught.value.message
    assert kube.find(LEASE, space, "held") is None
