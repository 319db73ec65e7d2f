"""What the doctor says of our rights in a cluster."""

from itertools import chain
from types import SimpleNamespace

import pytest

from infra_console.cluster import rights
from infra_console.cluster.doctor import _check
from infra_console.cluster.rights import review_rights
from tests.deploy.test_manifests import documents
from tests.infra_console.kube import CLUSTER


def test_an_executor_holds_every_right_and_a_reader_none_of_the_writes(twin, settings):
    assert review_rights(CLUSTER).missing_writes == ()
    check = _check(CLUSTER)
    assert check.ok
    assert check.detail.endswith("reads and writes")
    settings.KUBECONFIG = twin.kubeconfig("viewer")
    held = review_rights(CLUSTER)
    assert (held.missing_reads, held.writes) == ((), False)
    check = _check(CLUSTER)
    assert check.ok
    assert "reads only" in check.detail


def test_half_of_the_rights_is_said_with_the_file_that_grants_the_rest(twin, monkeypatch):
    real = rights.granted
    lacking = "patch workloads"
    monkeypatch.setattr(rights, "granted", lambda c, r: real(c, r) and str(r) != lacking)
    check = _check(CLUSTER)
    assert not check.ok
    assert f"may not {lacking}" in check.detail
    assert check.remedy.endswith("kueue.yaml")


READER = next(
    d
    for d in documents()
    if (d["kind"], d["metadata"]["name"]) == ("ClusterRole", "infra-console-reader")
)


def test_the_readers_role_grants_what_the_doctor_asks_for_and_no_more():
    granted = {
        (verb, group, resource)
        for rule in READER["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    asked = {
        (r.verb, r.group, r.resource)
        for r in (
            *rights.READS,
            *rights.EVERYWHERE,
            *chain(*rights.OF_WORKLOADS.values(), *rights.WHERE_SERVED.values()),
        )
    }
    assert asked <= granted
    assert {(g, r) for _, g, r in granted} == {(g, r) for _, g, r in asked}


@pytest.mark.parametrize("kind", [*rights.OF_WORKLOADS, *rights.WHERE_SERVED, "HPA", "quota"])
def test_a_reader_without_a_kind_that_is_used_is_told_the_rule(twin, settings, monkeypatch, kind):
    wanted = {"HPA": "horizontalpodautoscalers", "quota": "resourcequotas"}.get(kind)
    if wanted is None:
        wanted = {**rights.OF_WORKLOADS, **rights.WHERE_SERVED}[kind][0].resource
    workloads = [SimpleNamespace(kind=k) for k in rights.OF_WORKLOADS]
    monkeypatch.setattr(rights, "current_fleet", lambda: SimpleNamespace(workloads=workloads))
    settings.KUBECONFIG = twin.kubeconfig("viewer")
    assert _check(CLUSTER).ok
    real = rights.granted
    monkeypatch.setattr(rights, "granted", lambda c, r: r.resource != wanted and real(c, r))
    check = _check(CLUSTER)
    assert not check.ok
    assert f"list {wanted}" in check.detail
    assert f"resources: [{wanted}], verbs: [" in check.remedy


def test_kinds_that_nobody_uses_are_not_asked_for(twin, monkeypatch):
    monkeypatch.setattr(rights, "serves", lambda *_: False)
    asked = []
    monkeypatch.setattr(rights, "granted", lambda _, r: not asked.append(r.resource))
    assert review_rights(CLUSTER).missing_looks == ()
    assert not {"statefulsets", "leaderworkersets", "scaledobjects", "nodepools"} & set(asked)


def test_an_executor_is_no_reader_and_is_not_called_wrong(twin, monkeypatch):
    real = rights.granted
    missing = "resourcequotas"
    monkeypatch.setattr(rights, "granted", lambda c, r: r.resource != missing and real(c, r))
    check = _check(CLUSTER)
    assert check.ok
    assert check.detail.endswith("it lacks list resourcequotas")
