"""Rights finer than reading and writing, and reviews that tell the truth about them."""

import json

import pytest
from kubernetes import client
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects
from tiers.twin.kube.access import Account
from tiers.twin.kube.kubeconfig import write_kubeconfig
from tiers.twin.kube.rbac import READ_VERBS, Asked, Rule

RULES = (
    Rule(verbs=READ_VERBS, resources=("nodes", "pods")),
    Rule(verbs=("patch",), resources=("nodes",)),
    Rule(verbs=("create",), resources=("pods/eviction",)),
    Rule(
        verbs=("get", "patch"),
        resources=("deployments/scale",),
        api_groups=("apps",),
        namespaces=("inference",),
    ),
)
MOVER = Account("mover", "mover-token", may_write=False, rules=RULES)


@pytest.fixture(scope="module")
def mover(running) -> client.ApiClient:
    """The client of an account that may do what moving capacity needs, and no more."""
    api = running.servers.apis["eastus"]
    api.accounts = (*api.accounts, MOVER)
    write_kubeconfig(
        running.folder / "mover",
        running.servers.urls(),
        (running.folder / "ca.crt").read_bytes(),
        MOVER.name,
        MOVER.token,
    )
    return running.api("mover")


def test_least_privilege_suffices_for_a_move(mover, node, core, space):
    core.create_namespaced_pod(space, objects.pod())
    nodes = client.CoreV1Api(mover)
    assert nodes.patch_node(node, {"spec": {"unschedulable": True}}).spec.unschedulable
    nodes.create_namespaced_pod_eviction("p1", space, objects.eviction("p1"))


def test_what_no_rule_allows_is_forbidden_and_named(mover, node, space):
    with pytest.raises(ApiException) as caught:
        client.CoreV1Api(mover).delete_node(node)
    assert caught.value.status == 403
    assert json.loads(caught.value.body)["message"] == (
        f'nodes "{node}" is forbidden: User "mover" cannot delete resource "nodes" in API group '
        '"" at the cluster scope'
    )
    with pytest.raises(ApiException) as caught:
        client.AppsV1Api(mover).patch_namespaced_deployment_scale(
            "chat", space, {"spec": {"replicas": 1}}
        )
    assert json.loads(caught.value.body)["message"] == (
        'deployments.apps "chat" is forbidden: User "mover" cannot patch resource '
        f'"deployments/scale" in API group "apps" in the namespace "{space}"'
    )


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ({"verb": "patch", "resource": "nodes"}, True),
        ({"verb": "delete", "resource": "nodes"}, False),
        ({"verb": "create", "resource": "pods", "subresource": "eviction"}, True),
        ({"verb": "create", "resource": "pods"}, False),
        (
            {
                "verb": "patch",
                "resource": "deployments",
                "subresource": "scale",
                "group": "apps",
                "namespace": "inference",
            },
            True,
        ),
        (
            {
                "verb": "patch",
                "resource": "deployments",
                "subresource": "scale",
                "group": "apps",
                "namespace": "training",
            },
            False,
        ),
    ],
)
def test_an_access_review_tells_the_truth(mover, asked, allowed):
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(
            resource_attributes=client.V1ResourceAttributes(**asked)
        )
    )
    told = client.AuthorizationV1Api(mover).create_self_subject_access_review(review)
    assert told.status.allowed is allowed
    assert told.spec.resource_attributes.verb == asked["verb"]


def test_a_rules_review_lists_what_holds_in_a_namespace(mover):
    def rules(namespace: str) -> set[str]:
        review = client.V1SelfSubjectRulesReview(
            spec=client.V1SelfSubjectRulesReviewSpec(namespace=namespace)
        )
        told = client.AuthorizationV1Api(mover).create_self_subject_rules_review(review)
        return {name for rule in told.status.resource_rules for name in rule.resources}

    assert "deployments/scale" in rules("inference")
    assert "deployments/scale" not in rules("training")
    assert "pods/eviction" in rules("training")


def test_whoami_names_the_account(mover):
    review = client.V1SelfSubjectReview()
    told = client.AuthenticationV1Api(mover).create_self_subject_review(review)
    assert told.status.user_info.username == "mover"


def test_rules_may_name_objects_and_wildcards():
    named = Rule(verbs=("get",), resources=("nodes",), names=("n1",))
    assert named.allows(Asked("get", "", "nodes", name="n1"))
    assert not named.allows(Asked("get", "", "nodes", name="n2"))
    scales = Rule(verbs=("*",), resources=("*/scale",), api_groups=("*",))
    assert scales.allows(Asked("patch", "apps", "deployments", "scale"))
    assert not scales.allows(Asked("patch", "apps", "deployments"))
