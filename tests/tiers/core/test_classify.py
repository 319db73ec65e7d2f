"""What a node or pod is to us, from labels and taints."""

import pytest

from tiers.core.classify import PoolFacts, foreign_taint, gang_of, pool_of, workload_of

KEY = "infra-console.dev/tier"
POOLS = (
    PoolFacts("c/H100/spot", "c", "H100", {"gpu": "H100", "capacity": "spot"}),
    PoolFacts("c/H100/reserved", "c", "H100", {"gpu": "H100", "capacity": "reserved"}),
)


def test_pool_needs_its_whole_selector():
    assert pool_of({"gpu": "H100", "capacity": "reserved", "zone": "a"}, POOLS) is POOLS[1]
    assert pool_of({"gpu": "H100"}, POOLS) is None


@pytest.mark.parametrize(
    ("taints", "expected"),
    [
        ([(KEY, "NoSchedule"), ("nvidia.com/gpu", "NoSchedule")], ""),
        ([("health.example/xid", "NoSchedule")], "tainted health.example/xid"),
        ([("maintenance", "NoExecute"), (KEY, "NoSchedule")], "tainted maintenance"),
        ([("slow-disk", "PreferNoSchedule")], ""),
    ],
)
def test_only_repelling_taints_of_others_take_a_node_out_of_supply(taints, expected):
    assert foreign_taint(taints, KEY) == expected


def test_a_pod_belongs_to_the_deployment_behind_its_replica_set():
    names = ["chat-7b", "chat-70b"]
    assert workload_of("chat-70b-6f5d-x2", "ReplicaSet", "chat-70b-6f5d", names) == "chat-70b"
    assert workload_of("chat-7b-6f5d-x2", "ReplicaSet", "chat-7b-6f5d", names) == "chat-7b"
    assert workload_of("debug", "", "", names) == ""


def test_a_gang_is_named_by_its_job():
    assert gang_of({"batch.kubernetes.io/job-name": "train-1"}, "", "") == "train-1"
    assert gang_of({}, "Job", "train-2") == "train-2"
    assert gang_of({}, "ReplicaSet", "chat-1") == ""
