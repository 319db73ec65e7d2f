"""Faults on command: what the client sees, what was done all the same, and when they end."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from kubernetes import client
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError, ReadTimeoutError

from tests.tiers.twin.kube import objects
from tiers.twin.kube.faults import Faults, Match

NOW = datetime(2026, 11, 24, tzinfo=UTC)
PATCHES = Match(verb="patch", resource="nodes")
CORDON = {"spec": {"unschedulable": True}}


@pytest.fixture
def once(running) -> client.CoreV1Api:
    """A client that does not try again by itself."""
    api = running.api()
    api.configuration.retries = False
    made = client.CoreV1Api(client.ApiClient(api.configuration))
    running.opened.append(made.api_client)
    return made


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("throttle", 429, "TooManyRequests"),
        ("error", 500, "InternalError"),
        ("unavailable", 503, "ServiceUnavailable"),
    ],
)
def test_a_refusal_strikes_as_often_as_asked_and_does_nothing(
    faults, once, node, kind, code, reason
):
    faults.add(kind, PATCHES, times=1, seconds=3)
    with pytest.raises(ApiException) as caught:
        once.patch_node(node, CORDON)
    assert (caught.value.status, json.loads(caught.value.body)["reason"]) == (code, reason)
    assert caught.value.headers.get("Retry-After") == (None if code == 500 else "3")
    assert once.read_node(node).spec.unschedulable is None
    once.patch_node(node, CORDON)


def test_a_reset_does_nothing_and_is_logged(faults, once, node, running):
    faults.add("reset", PATCHES, times=1)
    with pytest.raises(HTTPError):
        once.patch_node(node, CORDON)
    event = running.log.recent[-1].event()
    assert event["annotations"]["twin/fault"] == "reset"
    assert event["annotations"]["twin/applied"] == "false"
    assert event["responseStatus"]["code"] == 504
    assert event["requestObject"] == CORDON
    assert once.read_node(node).spec.unschedulable is None


def test_a_lost_answer_belongs_to_a_write_that_was_done(faults, once, node, running):
    faults.add("lost", PATCHES, times=1)
    with pytest.raises(HTTPError):
        once.patch_node(node, CORDON)
    event = running.log.recent[-1].event()
    assert event["annotations"]["twin/applied"] == "true"
    assert event["responseStatus"]["code"] == 200
    assert once.read_node(node).spec.unschedulable is True


def test_a_hanging_server_never_answers(faults, once, node):
    faults.add("hang", Match(resource="nodes", name=node), times=1)
    with pytest.raises(ReadTimeoutError):
        once.read_node(node, _request_timeout=0.3)
    assert once.read_node(node, _request_timeout=2)


def test_latency_delays_and_lets_other_faults_strike(faults, once, node):
    faults.add("latency", PATCHES, seconds=0.3, times=1)
    faults.add("error", PATCHES, times=1)
    began = time.monotonic()
    with pytest.raises(ApiException):
        once.patch_node(node, CORDON)
    assert time.monotonic() - began >= 0.3


def test_a_stalled_watch_stays_open_and_silent(faults, once, space):
    at = once.list_namespaced_pod(space).metadata.resource_version
    faults.add("stall", Match(verb="watch", namespace=space))
    once.create_namespaced_pod(space, objects.pod())
    silent = once.list_namespaced_pod(
        space, watch=True, resource_version=at, timeout_seconds=1, _preload_content=False,
        _request_timeout=1.5,
    )  # fmt: skip
    with pytest.raises(ReadTimeoutError):
        next(silent.stream())


def test_a_skewed_clock_shows_in_what_the_server_stamps(faults, once, space):
    faults.add("skew", seconds=-3600)
    made = once.create_namespaced_pod(space, objects.pod())
    behind = datetime.now(UTC) - made.metadata.creation_timestamp
    assert timedelta(minutes=59) < behind < timedelta(minutes=61)


def test_faults_match_by_every_word_and_end_in_time():
    now = [NOW]
    faults = Faults(lambda: now[0])
    faults.add("error", Match(user="executor", resource="pods"), minutes=5)
    struck = Match(verb="get", resource="pods", user="executor", name="p1")
    assert [f.kind for f in faults.strike(struck)] == ["error"]
    assert faults.strike(Match(verb="get", resource="pods", user="viewer")) == []
    now[0] += timedelta(minutes=6)
    assert faults.strike(struck) == []
    assert faults.active() == []


def test_chance_repeats_with_its_seed():
    def strikes(seed: int) -> list[bool]:
        faults = Faults(lambda: NOW, seed=seed)
        faults.add("error", probability=0.5)
        return [bool(faults.strike(Match(verb="get"))) for _ in range(40)]

    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)
    assert 8 < sum(strikes(1)) < 32


def test_one_fault_or_all_can_be_cleared():
    faults = Faults(lambda: NOW)
    first, _ = faults.add("error"), faults.add("reset")
    assert faults.clear(first.id) == 1
    assert [f.told()["kind"] for f in faults.active()] == ["reset"]
    assert faults.clear() == 1


@pytest.mark.parametrize("wrong", [{"probability": 0}, {"times": 0}])
def test_a_fault_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="probability"):
        Faults(lambda: NOW).add("error", **wrong)
    with pytest.raises(ValueError, match="unknown kind"):
        Faults(lambda: NOW).add("gremlin")
