"""What the doctor says that plans may change, by the rights that the API grants."""

import pytest

from infra_console.cluster.doctor import check_rights
from infra_console.cluster.rights import CHANGES, lacking
from tests.deploy.test_manifests import documents
from tests.infra_console.kube import CLUSTER


def test_who_may_everything_lacks_nothing(twin):
    assert lacking(CLUSTER) == {}


def test_who_may_only_read_is_told_what_is_missing(transactional_db, twin, settings):
    settings.KUBECONFIG = twin.kubeconfig("viewer")
    assert set(lacking(CLUSTER)) == set(CHANGES)
    (check,) = check_rights()
    assert check.ok
    assert check.detail.startswith("plans may change nothing; not nodes (patch nodes")
    assert "not sets (update statefulsets/scale" in check.detail


def test_without_a_kubeconfig_there_is_nothing_to_ask(settings):
    settings.KUBECONFIG = ""
    assert check_rights() == []


@pytest.mark.parametrize("what", CHANGES)
def test_what_the_doctor_asks_is_what_the_manifests_grant(what):
    rules = [
        rule
        for d in documents()
        if d["kind"] == "ClusterRole" and d["metadata"]["name"] != "infra-console-reader"
        for rule in d["rules"]
    ]
    for right in CHANGES[what]:
        assert any(
            right.group in r["apiGroups"]
            and right.resource in r["resources"]
            and right.verb in r["verbs"]
            for r in rules
        ), right
