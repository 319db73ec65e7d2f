"""The ledger always sums to the fleet, whatever the cluster looks like."""

from hypothesis import given
from hypothesis import strategies as st

from tests.tiers.core.fleets import chat_pod, cluster, gang_pod, node
from tiers.core.fleet_state import PodView
from tiers.core.ledger import cluster_ledger

SMALLEST = {("inference", "H100"): 1, ("training", "H100"): 8}


def test_each_gpu_has_the_state_an_operator_expects():
    nodes = [node("i1", "inference"), node("t1", "training"), node("t2", "training"),
             node("x", "training", unschedulable=True), node("dead", "inference", ready=False),
             node("half", "training", gpus_allocatable=6)]  # fmt: skip
    pods = [chat_pod("chat-a", "i1"), gang_pod("g", 0, "t1"),
            PodView("inference", "loading", "i1", "Pending", False, 1, "inference")]  # fmt: skip
    assert cluster_ledger(cluster(nodes, pods, 1), SMALLEST) == {
        "serving": 4, "idle-allocated": 1, "free-usable": 3 + 8, "training": 8,
        "foreign-cordoned": 8, "broken": 8 + 2, "free-stranded": 6,
    }  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["inference", "training", "operational", None]),
            st.integers(0, 8), st.booleans(), st.booleans(), st.sampled_from(["", "tainted"]),
            st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["Running", "Pending"]),
                               st.sampled_from([True, False, None])), max_size=4),
        ),
        max_size=6,
    )
)  # fmt: skip
def test_ledger_sums_to_capacity(rows):
    nodes, pods = [], []
    for i, (tier, allocatable, ready, unschedulable, foreign, held) in enumerate(rows):
        nodes.append(node(f"n{i}", tier, gpus_allocatable=allocatable, ready=ready,
                          unschedulable=unschedulable, foreign=foreign))  # fmt: skip
        for j, (gpus, phase, pod_ready) in enumerate(held):
            pods.append(PodView("ns", f"p{i}-{j}", f"n{i}", phase, pod_ready, gpus, tier))
    ledger = cluster_ledger(cluster(nodes, pods, 0), SMALLEST)
    assert sum(ledger.values()) == 8 * len(nodes)
    assert min(ledger.values(), default=1) > 0
