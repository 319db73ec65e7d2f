"""Tables: ages in words, and what each kind shows of itself."""

from datetime import UTC, datetime

import pytest

from tiers.twin.kube import columns, kind_columns
from tiers.twin.kube.resources import JOBS, NODES, PODS, QUOTAS, RESOURCES, TOPOLOGIES

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def row(resource, obj) -> dict:
    obj = {"metadata": {"name": "one", "creationTimestamp": "2026-11-23T23:59:00Z"}, **obj}
    return {column.name: column.read(obj, NOW) for column in kind_columns.of(resource)}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (425, "7m5s"), (3600, "60m"),
        (4 * 3600 + 90, "4h1m"), (30 * 3600, "30h"), (3 * 86400 + 7200, "3d2h"),
        (30 * 86400, "30d"),
        (3 * 365 * 86400 + 86400, "3y1d"), (-60, "<invalid>"),
    ],
)  # fmt: skip
def test_ages_are_short(seconds, shown):
    assert columns.duration(seconds) == shown


def test_a_cordoned_node_says_so():
    conditions = [{"type": "Ready", "status": "False"}]
    shown = row(NODES, {"spec": {"unschedulable": True}, "status": {"conditions": conditions}})
    assert (shown["Status"], shown["Roles"], shown["Age"]) == (
        "NotReady,SchedulingDisabled",
        "<none>",
        "60s",
    )


def test_a_pod_shows_why_it_waits():
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}, "restartCount": 2}
    pod = {"spec": {"containers": [{}, {}]},
           "status": {"phase": "Pending", "containerStatuses": [waiting]}}  # fmt: skip
    shown = row(PODS, pod)
    wanted = ("0/2", "ImagePullBackOff", "2")
    assert (shown["Ready"], shown["Status"], shown["Restarts"]) == wanted


def test_a_job_shows_how_long_it_took():
    times = {"startTime": "2026-11-23T23:00:00Z", "completionTime": "2026-11-23T23:05:30Z"}
    done = [{"type": "Complete", "status": "True"}]
    shown = row(JOBS, {"spec": {"completions": 2}, "status": {
        **times, "succeeded": 2, "conditions": done}})  # fmt: skip
    wanted = ("Complete", "2/2", "5m30s")
    assert (shown["Status"], shown["Completions"], shown["Duration"]) == wanted


def test_a_quota_shows_what_is_used_of_it():
    held = {"hard": {"requests.nvidia.com/gpu": "8"}, "used": {"requests.nvidia.com/gpu": "6"}}
    assert row(QUOTAS, {"status": held})["Request"] == "requests.nvidia.com/gpu: 6/8"


def test_a_kind_without_columns_of_its_own_shows_name_and_age():
    assert row(TOPOLOGIES, {}) == {"Name": "one", "Age": "60s"}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.qualified)
def test_every_kind_shows_an_object_with_nothing_in_it(resource):
    assert row(resource, {})["Name"] == "one"
