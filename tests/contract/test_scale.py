"""The scale subresource: one number of any scalable kind, without the rest of the object.

https://kubernetes.io/docs/reference/using-api/api-concepts/ (subresources); autoscaling/v1 Scale.
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, LWS, STATEFUL_SET
from tests.contract.kube import Refused, refused, until

SCALABLE = [
    pytest.param(DEPLOYMENT, id="deployment"),
    pytest.param(STATEFUL_SET, id="statefulset"),
    pytest.param(LWS, id="leaderworkerset", marks=pytest.mark.needs("lws-api")),
]
US, THEM = "infra-console", "argocd-controller"


@pytest.fixture
def made(kube, space, request):
    """One object of a scalable kind, at two replicas, whose pods fit nowhere."""
    kind = request.param
    bodies = {
        "Deployment": objects.deployment("chat", "nowhere", replicas=2),
        "StatefulSet": objects.stateful_set("chat", "nowhere", replicas=2),
        "LeaderWorkerSet": objects.leader_worker_set("chat", "nowhere", groups=2),
    }
    kube.create(kind, space, bodies[kind.kind], fieldManager="maker")
    return kind


every_kind = pytest.mark.parametrize("made", SCALABLE, indirect=True)


@every_kind
def test_a_scale_is_read(kube, space, made):
    scale = kube.get(made, space, "chat", "scale")
    assert (scale["apiVersion"], scale["kind"]) == ("autoscaling/v1", "Scale")
    assert (scale["metadata"]["name"], scale["metadata"]["namespace"]) == ("chat", space)
    assert scale["spec"]["replicas"] == 2
    parent = kube.get(made, space, "chat")["metadata"]
    assert scale["metadata"]["uid"] == parent["uid"]
    assert scale["metadata"]["creationTimestamp"] == parent["creationTimestamp"]


@pytest.mark.parametrize("made", SCALABLE[:2], indirect=True)
def test_a_scale_says_which_pods_it_counts(kube, space, made):
    status = kube.get(made, space, "chat", "scale")["status"]
    assert status["selector"] == "app=chat"
    assert isinstance(status["replicas"], int)


@every_kind
def test_a_patch_of_the_scale_sets_the_replicas(kube, space, made):
    before = kube.get(made, space, "chat")["metadata"]
    answer = kube.patch(made, space, "chat", {"spec": {"replicas": 3}}, "merge", "scale")
    assert (answer["kind"], answer["spec"]["replicas"]) == ("Scale", 3)
    after = kube.get(made, space, "chat")
    assert after["spec"]["replicas"] == 3
    assert after["metadata"]["generation"] == before["generation"] + 1


@every_kind
def test_a_replace_of_the_scale_sets_the_replicas(kube, space, made):
    answer = kube.replace(made, space, "chat", objects.scale("chat", space, 4), "scale")
    assert answer["spec"]["replicas"] == 4
    assert kube.get(made, space, "chat")["spec"]["replicas"] == 4


@every_kind
def test_a_stale_replace_of_the_scale_is_a_conflict(kube, space, made):
    stale = kube.get(made, space, "chat")["metadata"]["resourceVersion"]
    kube.patch(made, space, "chat", {"metadata": {"annotations": {"seen": "no"}}})
    body = objects.scale("chat", space, 5, resourceVersion=stale)
    with refused(409) as caught:
        kube.replace(made, space, "chat", body, "scale")
    assert caught.value.reason == "Conflict"
    assert kube.get(made, space, "chat")["spec"]["replicas"] == 2


@every_kind
def test_a_replace_of_the_latest_scale_goes_through(cluster, kube, space, made):
    def written() -> bool:
        """Its own controller may write a status in between."""
        latest = kube.get(made, space, "chat", "scale")
        latest["spec"]["replicas"] = 3
        try:
            return kube.replace(made, space, "chat", latest, "scale")["spec"]["replicas"] == 3
        except Refused as answer:
            assert answer.code == 409
            return False

    until(written, "the scale of the latest version is taken", within_s=cluster.wait_s)


@every_kind
def test_fewer_than_no_replicas_is_a_422(kube, space, made):
    with refused(422):
        kube.replace(made, space, "chat", objects.scale("chat", space, -1), "scale")
    assert kube.get(made, space, "chat")["spec"]["replicas"] == 2


@every_kind
def test_the_scale_changes_nothing_but_the_replicas(kube, space, made):
    body = {"metadata": {"labels": {"team": "blue"}}, "spec": {"replicas": 3}}
    kube.patch(made, space, "chat", body, "merge", "scale")
    assert "team" not in kube.get(made, space, "chat")["metadata"].get("labels", {})


def test_the_scale_of_what_is_missing_is_a_404(kube, space):
    with refused(404):
        kube.get(DEPLOYMENT, space, "gone", "scale")


@pytest.mark.parametrize("made", SCALABLE[:1], indirect=True)
def test_who_scales_owns_the_replicas(kube, space, made):
    body = {"spec": {"replicas": 3}}
    kube.patch(made, space, "chat", body, "merge", "scale", fieldManager=US)
    fields = kube.get(made, space, "chat")["metadata"]["managedFields"]
    (entry,) = [e for e in fields if e["manager"] == US]
    assert (entry["operation"], entry["subresource"]) == ("Update", "scale")
    assert entry["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


def applied(kube, space: str, replicas: int, manager: str, **query):
    body = objects.scale("chat", space, replicas)
    return kube.patch(
        DEPLOYMENT, space, "chat", body, "apply", "scale", fieldManager=manager, **query
    )


@pytest.mark.parametrize("made", SCALABLE[:1], indirect=True)
def test_a_scale_can_be_applied_and_is_owned_by_who_applied_it(kube, space, made):
    assert applied(kube, space, 3, US, force=True)["spec"]["replicas"] == 3
    held = kube.get(made, space, "chat")
    assert held["spec"]["replicas"] == 3
    (entry,) = [e for e in held["metadata"]["managedFields"] if e["manager"] == US]
    assert (entry["operation"], entry["subresource"]) == ("Apply", "scale")
    assert (entry["apiVersion"], entry["fieldsV1"]) == (
        "apps/v1",
        {"f:spec": {"f:replicas": {}}},
    )


@pytest.mark.parametrize("made", SCALABLE[:1], indirect=True)
def test_an_applied_scale_conflicts_with_the_owner_of_the_replicas(kube, space, made):
    with refused(409) as caught:
        applied(kube, space, 3, US)
    assert "maker" in caught.value.message
    assert kube.get(made, space, "chat")["spec"]["replicas"] == 2


def test_the_official_client_scales(apps, kube, space, deployed):
    body = {"spec": {"replicas": 0}}
    scale = apps.patch_namespaced_deployment_scale("chat", space, body)
    assert scale.metadata.name == "chat"
    assert apps.read_namespaced_deployment_scale("chat", space).status.selector == "app=chat"
