"""Why work waits, in the words of whoever holds it back, or by arithmetic where nobody says."""

from datetime import UTC, datetime, timedelta

import pytest

from tiers.core.waiting import Ask, FreeNode, Release, waits

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KUEUE_QUOTA = (
    "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in "
    "flavor h100, 8 more needed"
)


def ask(name: str = "job", gpus: int = 16, per_pod: int = 8, **changes) -> Ask:
    values = {"namespace": "t", "name": name, "tier": "training", "gpus": gpus,
              "gpus_per_pod": per_pod, "since": NOW}  # fmt: skip
    return Ask(**(values | changes))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (KUEUE_QUOTA, "quota"),
        ("couldn't assign flavors to pod set main: topology \"default\" allows to fit only 2 out of"
         " 4 pod(s)", "contiguous block"),
        ("couldn't assign flavors to pod set main: untolerated taint {dedicated: x} in flavor h100",
         "flavour"),
        ("ImagePullBackOff: Back-off pulling image registry/train:9", "image"),
        ("Workload didn't fit: waiting for preempted workloads of higher priority", "priority"),
        ("0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector.",
         "flavour"),
        ("The workload is deactivated", "held"),
    ],
)  # fmt: skip
def test_what_is_said_is_the_reason(said, reason):
    (wait,) = waits([ask(said=(said,))], [FreeNode("n", "training", 64)], [])
    assert wait.reason == reason
    assert said in wait.words


def test_full_nodes_of_its_kind_are_the_reason_not_nodes_of_another():
    said = "0/14 nodes are available: 6 Insufficient nvidia.com/gpu, 8 node(s) didn't match Pod's"
    (wait,) = waits([ask(said=(said + " node affinity/selector.",))], [], [])
    assert wait.reason == "GPUs"
    assert wait.words.startswith("16 GPUs asked for, 0 free in its tier")


def test_scattered_gpus_are_not_a_block():
    free = [FreeNode(f"n{i}", "training", 4) for i in range(6)]
    (wait,) = waits([ask()], free, [])
    assert wait.reason == "contiguous block"
    assert "24 GPUs are free, on no node more than 4 of the 8" in wait.words


def test_who_goes_first_takes_the_free_gpus_by_priority_then_age():
    late = ask("late", gpus=8, since=NOW)
    early = ask("early", gpus=8, since=NOW - timedelta(hours=1))
    urgent = ask("urgent", gpus=8, priority=10)
    found = waits([late, early, urgent], [FreeNode("n", "training", 16)], [])
    assert [w.ask.name for w in found] == ["urgent", "early", "late"]
    assert found[2].reason == "priority"


def test_it_starts_when_enough_has_ended_and_is_unknown_where_ends_are():
    releases = [
        Release(NOW + timedelta(hours=2), "training", 8),
        Release(NOW + timedelta(hours=1), "training", 8),
        Release(NOW + timedelta(hours=1), "inference", 64),
    ]
    first, second = waits([ask("a"), ask("b")], [], releases)
    assert first.starts_by == NOW + timedelta(hours=2)
    assert second.starts_by is None


def test_gpus_of_other_tiers_are_not_free_for_it():
    (wait,) = waits([ask(gpus=8)], [FreeNode("n", "inference", 64)], [])
    assert (wait.reason, wait.words) == ("GPUs", "8 GPUs asked for, 0 free in its tier")
