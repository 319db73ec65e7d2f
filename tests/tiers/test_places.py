"""The places page and check: read from an API, kept by each cycle, shown with its stanzas."""

from datetime import UTC, datetime

import pytest

from infra_console.cluster.errors import ClusterUnavailable
from tests.people import person
from tests.tiers.factories import fleet_config
from tiers import placement
from tiers.adapters import kubernetes_needs
from tiers.core.fits import Taint, places_of
from tiers.doctor import check_places
from tiers.facts import fleet_facts
from tiers.models import PlacementCheck

pytestmark = pytest.mark.usefixtures("fleet")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
POD = {
    "metadata": {
        "namespace": "inference", "name": "chat-5d4-a",
        "ownerReferences": [{"kind": "ReplicaSet", "name": "chat-5d4", "controller": True}],
    },
    "spec": {
        "containers": [{"resources": {"limits": {"nvidia.com/gpu": "4"}}}],
        "nodeSelector": {"nvidia.com/gpu.product": "H100"},
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "x", "operator": "Exists"}]}]}}},
    },
    "status": {"phase": "Running"},
}  # fmt: skip


@pytest.fixture
def facts():
    return fleet_facts(fleet_config())


def test_pods_of_one_owner_are_asked_once(monkeypatch, facts):
    done = {**POD, "metadata": {**POD["metadata"], "name": "chat-5d4-z"},
            "status": {"phase": "Succeeded"}}  # fmt: skip
    monkeypatch.setattr(kubernetes_needs, "pods_raw", lambda _cluster: [POD, POD, done])
    (need,) = kubernetes_needs.read_needs("north", facts)
    assert (need.name, need.workload, need.gpus, need.tier) == ("chat", "chat", 4, "inference")
    assert need.selector == {"nvidia.com/gpu.product": "H100"}
    assert need.terms == (({"key": "x", "operator": "Exists"},),)
    assert need.gpus_by_type == {"H100": 4}


@pytest.fixture
def checked(monkeypatch, facts):
    monkeypatch.setattr(kubernetes_needs, "pods_raw", lambda _cluster: [POD])
    labels = {"nvidia.com/gpu.product": "H100", "x": "1"}
    held = [("north/H100/reserved", tier, labels, [Taint("vip", "", "NoSchedule")], 8)
            for tier in ("inference", "training")]  # fmt: skip
    monkeypatch.setattr(placement, "read_places", lambda c, _: places_of(held, cluster=c, pools={}))
    placement.check_placement(facts, ["north"], now=NOW)


def test_what_is_kept_off_is_shown_with_its_stanza_and_told_by_doctor(client, checked):
    client.force_login(person("viewer"))
    text = client.get("/tiers/places/").content.decode()
    assert "no toleration of vip:NoSchedule" in text
    assert "operator: Exists" in text
    assert "north/H100/reserved, inference; north/H100/reserved, training" in text
    (check,) = check_places()
    assert check.ok
    assert (
        "1 workloads could not run on some pool of their own tier: inference/chat" in check.detail
    )


def test_a_cluster_that_fails_keeps_what_was_seen_and_says_so(client, checked, monkeypatch, facts):
    def fails(*_args):
        raise ClusterUnavailable("north", "timed out")

    monkeypatch.setattr(placement, "read_needs", fails)
    placement.check_placement(facts, ["north"], now=NOW)
    kept = PlacementCheck.objects.get()
    assert kept.rows
    client.force_login(person("viewer"))
    assert "timed out" in client.get("/tiers/places/").content.decode()


def test_without_cluster_rights_it_is_unknown_not_fine(client):
    client.force_login(person("viewer"))
    text = client.get("/tiers/places/").content.decode()
    assert "Unknown for north" in text
    assert "Everything could run everywhere" not in text
