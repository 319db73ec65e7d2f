"""Two writers of one object: the one who has not seen the other's write is refused.

https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions and the
`preconditions` of DeleteOptions.
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, LEASE, NODE, PDB
from tests.contract.kube import Refused, refused

CHANGED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def renew(kube, space: str) -> dict:
    return kube.patch(LEASE, space, "held", {"spec": {"holderIdentity": "console-b"}})


def test_a_stale_replace_is_a_conflict(kube, space, lease):
    renew(kube, space)
    with refused(409) as caught:
        kube.replace(LEASE, space, "held", lease)
    assert caught.value.reason == "Conflict"
    assert caught.value.message == (
        f'Operation cannot be fulfilled on leases.coordination.k8s.io "held": {CHANGED}'
    )
    assert caught.value.details["name"] == "held"
    assert kube.get(LEASE, space, "held")["spec"]["holderIdentity"] == "console-b"


def test_a_replace_of_the_latest_version_goes_through(kube, space, lease):
    latest = renew(kube, space)
    latest["spec"]["holderIdentity"] = "console-c"
    replaced = kube.replace(LEASE, space, "held", latest)
    assert replaced["spec"]["holderIdentity"] == "console-c"


def test_a_replace_takes_away_what_it_does_not_name(kube, space, lease):
    del lease["spec"]["leaseDurationSeconds"]
    assert "leaseDurationSeconds" not in kube.replace(LEASE, space, "held", lease)["spec"]


def test_a_deployment_may_be_replaced_without_a_version(kube, space, deployed):
    del deployed["metadata"]["resourceVersion"]
    deployed["spec"]["minReadySeconds"] = 4
    assert kube.replace(DEPLOYMENT, space, "chat", deployed)["spec"]["minReadySeconds"] == 4


def test_a_node_may_be_replaced_without_a_version(kube, node):
    held = kube.get(NODE, "", node)
    del held["metadata"]["resourceVersion"]
    held["metadata"]["labels"]["team"] = "blue"
    assert kube.replace(NODE, "", node, held)["metadata"]["labels"]["team"] == "blue"


@pytest.mark.parametrize("kind", [LEASE, PDB])
def test_kinds_without_unconditional_update_need_the_version(kube, space, kind):
    bodies = {"Lease": objects.lease("held")}
    bodies["PodDisruptionBudget"] = objects.budget("held", app="chat", keep=1)
    made = kube.create(kind, space, bodies[kind.kind])
    del made["metadata"]["resourceVersion"]
    with refused(422) as caught:
        kube.replace(kind, space, "held", made)
    (cause,) = caught.value.causes
    assert cause["field"] == "metadata.resourceVersion"
    assert "must be specified for an update" in cause["message"]


def test_a_replace_of_another_uid_is_a_conflict(kube, space, lease):
    kube.delete(LEASE, space, "held")
    again = kube.create(LEASE, space, objects.lease("held"))
    again["metadata"]["uid"] = lease["metadata"]["uid"]
    with refused(409) as caught:
        kube.replace(LEASE, space, "held", again)
    assert "Precondition failed: UID in precondition" in caught.value.message


@pytest.mark.parametrize("kind", [LEASE, DEPLOYMENT])
def test_replacing_what_is_gone_does_not_bring_it_back(kube, space, lease, deployed, kind):
    """409 by the uid in the body, a precondition that an absent object does not meet; or 404.

    Servers have long answered 409, and kubernetes/kubernetes#124347 asks for the clearer 404.
    """
    name, held = {"Lease": ("held", lease), "Deployment": ("chat", deployed)}[kind.kind]
    kube.delete(kind, space, name)
    with pytest.raises(Refused) as caught:
        kube.replace(kind, space, name, held)
    assert caught.value.code in (404, 409)
    assert kube.find(kind, space, name) is None


def test_a_replace_of_what_never_was_is_a_404(kube, space):
    body = {"apiVersion": "apps/v1", "kind": "Deployment", **objects.deployment("chat", space)}
    with refused(404):
        kube.replace(DEPLOYMENT, space, "chat", body)


def test_a_lease_may_be_created_by_a_replace(kube, space):
    """One of the few kinds that allow it: its strategy's AllowCreateOnUpdate is true."""
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **objects.lease("held")}
    code, made = kube.send("PUT", LEASE.path(space, "held"), body)
    assert (code, made["metadata"]["uid"] != "") == (201, True)


@pytest.mark.parametrize("how", ["merge", "strategic"])
def test_a_patch_with_a_stale_version_is_a_conflict(kube, space, lease, how):
    renew(kube, space)
    version = lease["metadata"]["resourceVersion"]
    body = {"metadata": {"resourceVersion": version, "labels": {"team": "blue"}}}
    with refused(409) as caught:
        kube.patch(LEASE, space, "held", body, how)
    assert caught.value.reason == "Conflict"
    assert "labels" not in kube.get(LEASE, space, "held")["metadata"]


def test_a_patch_with_the_latest_version_goes_through(kube, space, lease):
    version = renew(kube, space)["metadata"]["resourceVersion"]
    body = {"metadata": {"resourceVersion": version, "labels": {"team": "blue"}}}
    assert kube.patch(LEASE, space, "held", body)["metadata"]["labels"] == {"team": "blue"}


def test_a_patch_without_a_version_takes_what_is_there(kube, space, lease):
    renew(kube, space)
    patched = kube.patch(LEASE, space, "held", {"metadata": {"labels": {"team": "blue"}}})
    assert patched["spec"]["holderIdentity"] == "console-b"


def test_a_patch_of_another_uid_is_refused(kube, space, lease):
    """422, not 409: to a patch the uid is an immutable field (controllers rely on it)."""
    body = {"metadata": {"uid": "00000000-0000-4000-8000-000000000003", "labels": {"a": "b"}}}
    with refused(422) as caught:
        kube.patch(LEASE, space, "held", body)
    assert "metadata.uid" in {cause["field"] for cause in caught.value.causes}


def test_the_time_of_creation_is_immutable(kube, space, lease):
    lease["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z"
    with refused(422) as caught:
        kube.replace(LEASE, space, "held", lease)
    assert "metadata.creationTimestamp" in {cause["field"] for cause in caught.value.causes}


def test_a_json_patch_can_test_the_version(kube, space, lease):
    renew(kube, space)
    version = lease["metadata"]["resourceVersion"]
    with refused(422):
        kube.patch(
            LEASE,
            space,
            "held",
            [
                {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                {"op": "add", "path": "/metadata/labels", "value": {"team": "blue"}},
            ],
            "json",
        )
    assert "labels" not in kube.get(LEASE, space, "held")["metadata"]


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_a_delete_of_something_else_is_a_conflict(kube, space, lease, field):
    wrong = {"uid": "00000000-0000-4000-8000-000000000004", "resourceVersion": "1"}
    with refused(409) as caught:
        kube.delete(LEASE, space, "held", {"preconditions": {field: wrong[field]}})
    assert caught.value.reason == "Conflict"
    assert "precondition" in caught.value.message.lower()
    assert kube.find(LEASE, space, "held")


def test_a_delete_of_just_this_goes_through(kube, space, lease):
    wanted = {key: lease["metadata"][key] for key in ("uid", "resourceVersion")}
    kube.delete(LEASE, space, "held", {"preconditions": wanted})
    assert kube.find(LEASE, space, "held") is None


def test_of_two_holders_the_second_stale_one_loses(kube, space, lease):
    """How a Lease elects one: both read it free, both write, one wins."""
    mine, theirs = (kube.get(LEASE, space, "held") for _ in range(2))
    mine["spec"]["holderIdentity"], theirs["spec"]["holderIdentity"] = "mine", "theirs"
    kube.replace(LEASE, space, "held", mine)
    with refused(409):
        kube.replace(LEASE, space, "held", theirs)
    assert kube.get(LEASE, space, "held")["spec"]["holderIdentity"] == "mine"


def test_a_lease_is_renewed(kube, space, lease):
    lease["spec"]["renewTime"] = "2026-01-02T03:04:05.678901Z"
    kube.replace(LEASE, space, "held", lease)
    held = kube.get(LEASE, space, "held")["spec"]
    assert held["renewTime"] == "2026-01-02T03:04:05.678901Z"
