"""Lots: what entered a state together stays together, and the sum is always what was counted."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.tiers.core.fleets import chat_pod, cluster, gang_pod, node
from tiers.core.lots import LotKey, OpenLot, cluster_lots, reconcile

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def key(state: str, name: str = "n1") -> LotKey:
    return LotKey(name, "p", "b", "H100", "training", state, "", "")


def test_growth_opens_a_lot_and_leaves_the_older_one_alone():
    held = [OpenLot(1, key("serving"), 4, NOW - timedelta(hours=3))]
    changes = reconcile(held, {key("serving"): 6})
    assert changes.opened == {key("serving"): 2}
    assert changes.left == {}


def test_the_youngest_gpus_leave_first():
    held = [
        OpenLot(1, key("serving"), 4, NOW - timedelta(hours=3)),
        OpenLot(2, key("serving"), 2, NOW),
    ]
    changes = reconcile(held, {key("serving"): 3, key("free-usable"): 3})
    assert changes.left == {2: 2, 1: 1}
    assert changes.opened == {key("free-usable"): 3}


KEYS = [key(state, name) for state in ("serving", "broken") for name in ("n1", "n2")]


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 8), st.integers(0, 5)), max_size=8),
    st.dictionaries(st.sampled_from(KEYS), st.integers(1, 8)),
)
def test_what_stands_after_reconciling_is_what_was_counted(held, counts):
    lots = [OpenLot(i, k, g, NOW + timedelta(hours=h)) for i, (k, g, h) in enumerate(held)]
    changes = reconcile(lots, counts)
    after = dict.fromkeys(KEYS, 0)
    for lot in lots:
        after[lot.key] += lot.gpus - changes.left.get(lot.id, 0)
    for opened, gpus in changes.opened.items():
        after[opened] += gpus
    assert after == {k: counts.get(k, 0) for k in KEYS}


def test_lots_tell_the_owner_of_what_pods_hold_and_sum_to_the_nodes():
    from dataclasses import replace

    chat = replace(chat_pod("chat-a", "i1"), owner="search")
    nodes = [node("i1", "inference", block="leaf-7"), node("t1", "training", sick=1)]
    lots = cluster_lots(cluster(nodes, [chat, gang_pod("g", 0, "t1")], 1), {})
    assert sum(lots.values()) == 16
    told = {(k.node, k.state, k.owner): gpus for k, gpus in lots.items()}
    assert told["i1", "serving", "search"] == 4
    assert told["t1", "broken", ""] == 1
    assert told["t1", "training", ""] == 7
    assert {k.block for k in lots if k.node == "i1"} == {"leaf-7"}
