"""Whose the mapped fields of a cluster are, and what is said while that is unknown."""

from datetime import timedelta

import pytest
from django.utils import timezone

from infra_console.cluster import owned
from infra_console.cluster.errors import ClusterForbidden, ClusterUnavailable
from infra_console.cluster.models import OwnedLook
from infra_console.cluster.owned import ask_owned, look_owned, owned_fields
from infra_console.cluster.queries import owned_clusters
from infra_console.cluster.takeovers import FIELDS, allow_take_over
from infra_console.fleet.models import FleetSetting
from tests.infra_console.conftest import DOCUMENT
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.steps.test_take_over import OWNER, applied, quota
from tests.people import person
from tiers.twin.kube.resources import DEPLOYMENTS


@pytest.fixture
def sent(monkeypatch) -> list[str]:
    """The clusters that a worker was asked to look at."""
    found: list[str] = []
    monkeypatch.setattr(owned, "_send", found.append)
    return found


def asked() -> None:
    OwnedLook.objects.create(cluster=CLUSTER, asked_at=timezone.now())


def test_every_kind_that_may_be_taken_over_is_looked_at():
    assert set(owned.READERS) == set(FIELDS)


def test_a_field_that_somebody_applies_is_found_with_its_owner(twin):
    quota(twin)
    applied(DEPLOYMENTS, "chat-70b", {"replicas": twin.deployment("chat-70b")["spec"]["replicas"]})
    found, unread = owned_fields(CLUSTER)
    assert unread == []
    theirs = {(o.kind, o.applies, o.objects, o.names) for o in found if o.manager == OWNER}
    assert theirs == {
        ("ResourceQuota", True, 1, ("inference/gpus",)),
        ("Deployment", True, 1, ("inference/chat-70b",)),
    }


def test_namespaces_that_are_nobodys_tier_are_not_looked_at(twin):
    quota(twin)
    tiers = {"namespaces": {"training": "training"}}
    FleetSetting.objects.update(document=DOCUMENT | {"tiers": tiers})
    found, _ = owned_fields(CLUSTER)
    assert not [o for o in found if o.manager == OWNER]


def test_a_kind_that_we_may_not_read_is_unknown_and_the_others_are_told(named_cluster, monkeypatch):
    def forbidden(cluster):
        raise ClusterForbidden(cluster, "list nodepools: no")

    readers = {"NodePool": forbidden, "Node": lambda _: iter(())}
    monkeypatch.setattr(owned, "READERS", readers)
    asked()
    assert look_owned(CLUSTER) == "looked"
    (row,) = owned_clusters()
    assert (row.unread, row.rows, row.problem) == (("NodePool",), (), "")


def test_a_cluster_that_is_away_is_unknown_and_what_was_seen_keeps_its_age(
    named_cluster, monkeypatch
):
    seen_at = timezone.now() - timedelta(hours=2)
    one = {"kind": "Node", "manager": "kubectl", "applies": False, "objects": 3, "names": ["n"]}
    OwnedLook.objects.create(
        cluster=CLUSTER, asked_at=seen_at, answered_at=seen_at, seen_at=seen_at, found=[one]
    )

    def away(cluster):
        raise ClusterUnavailable(cluster, "list nodes: no route to host")

    monkeypatch.setattr(owned, "READERS", {"Node": away})
    look_owned(CLUSTER)
    (row,) = owned_clusters()
    assert row.problem == "list nodes: no route to host"
    assert row.seen_at == seen_at
    assert [r.objects for r in row.rows] == [3]


def test_an_error_nobody_thought_of_is_an_answer_too(named_cluster, monkeypatch, caplog):
    monkeypatch.setattr(owned, "READERS", {"Node": lambda _: 1 / 0})
    asked()
    assert look_owned(CLUSTER) == owned.FAILED
    assert owned_clusters()[0].problem == owned.FAILED


def test_an_open_question_is_not_asked_twice(
    named_cluster, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        assert (ask_owned(), ask_owned()) == (1, 0)
    assert sent == [CLUSTER]
    assert owned_clusters()[0].waits


def test_a_leave_whose_owner_was_not_seen_stays_on_the_page(named_cluster):
    allow_take_over(CLUSTER, "Deployment", manager="flux", by=person("admin"), reason="x")
    (row,) = owned_clusters()
    (one,) = row.rows
    assert (row.seen_at, one.objects, one.manager, one.leave.by) == (None, None, "flux", "admin")
