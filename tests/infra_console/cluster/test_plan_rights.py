"""What the doctor says that plans may change, by the rights that the API grants."""

import pytest

from infra_console.cluster.doctor import check_rights
from infra_console.cluster.rights import Right, changes, lacking
from infra_console.plans.checks import check_contributions
from tests.deploy.test_manifests import documents
from tests.infra_console.kube import CLUSTER

VOLUMES = (Right("patch", "", "persistentvolumeclaims"),)


def test_who_may_everything_lacks_nothing(twin):
    assert lacking(CLUSTER) == {}


def test_who_may_only_read_is_told_what_is_missing(transactional_db, twin, settings):
    settings.KUBECONFIG = twin.kubeconfig("viewer")
    assert set(lacking(CLUSTER)) == set(changes())
    (check,) = check_rights()
    assert check.ok
    assert check.detail.startswith("plans may change nothing; not nodes (patch nodes")
    assert "not sets (update statefulsets/scale" in check.detail


def test_without_a_kubeconfig_there_is_nothing_to_ask(settings):
    settings.KUBECONFIG = ""
    assert check_rights() == []


@pytest.mark.parametrize("what", changes())
def test_what_the_doctor_asks_is_what_the_manifests_grant(what):
    rules = [
        rule
        for d in documents()
        if d["kind"] == "ClusterRole" and d["metadata"]["name"] != "infra-console-reader"
        for rule in d["rules"]
    ]
    for right in changes()[what]:
        assert any(
            right.group in r["apiGroups"]
            and right.resource in r["resources"]
            and right.verb in r["verbs"]
            for r in rules
        ), right


def test_a_domain_names_its_own_rights_in_settings(transactional_db, twin, settings):
    settings.CLUSTER_RIGHTS = {"volumes": f"{__name__}.VOLUMES"}
    assert list(changes())[-1] == "volumes"
    (check,) = check_rights()
    assert check.detail.endswith("quotas, owners of replicas, machines, volumes")


@pytest.mark.parametrize("setting", ["CLUSTER_RIGHTS", "PLAN_FACTS"])
def test_what_settings_name_in_vain_is_said_at_start(settings, setting):
    assert check_contributions() == []
    setattr(settings, setting, {"volumes": "nowhere.to.be.found"})
    (problem,) = check_contributions()
    assert f"{setting} volumes: nowhere.to.be.found" in problem.msg
