"""May I? The access reviews, for an account that may and for one that may not.

https://kubernetes.io/docs/reference/access-authn-authz/authorization/
"""

import pytest

from tests.contract import objects
from tests.contract.clusters import NOBODY
from tests.contract.kinds import ACCESS_REVIEW, LEASE, RULES_REVIEW, SELF_REVIEW
from tests.contract.kube import refused


def ask(kube, **attributes) -> dict:
    return kube.create(ACCESS_REVIEW, "", {"spec": {"resourceAttributes": attributes}})


def test_what_we_may_do_is_answered_with_201_and_allowed(kube, space):
    asked = {"namespace": space, "verb": "patch", "group": "apps", "resource": "deployments"}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    code, answer = kube.send("POST", ACCESS_REVIEW.path(), body)
    assert (code, answer["status"]["allowed"]) == (201, True)
    assert answer["spec"]["resourceAttributes"]["verb"] == "patch"


def test_subresources_are_asked_for_apart(kube, space):
    asked = {"namespace": space, "verb": "create", "resource": "pods", "subresource": "eviction"}
    assert ask(kube, **asked)["status"]["allowed"]


@pytest.mark.needs("rbac")
def test_what_an_account_may_not_do_is_answered_with_false(cluster, space):
    asked = {"namespace": space, "verb": "delete", "resource": "pods"}
    assert ask(cluster.limited(), **asked)["status"]["allowed"] is False


@pytest.mark.needs("rbac")
def test_the_answer_is_what_then_happens(cluster, space):
    limited = cluster.limited()
    asked = {"namespace": space, "verb": "create", "group": "coordination.k8s.io"}
    assert not ask(limited, **asked, resource="leases")["status"]["allowed"]
    with refused(403) as caught:
        limited.create(LEASE, space, objects.lease("held"))
    assert caught.value.reason == "Forbidden"
    assert "cannot create resource" in caught.value.message


@pytest.mark.needs("rbac")
def test_a_refused_dry_run_is_refused_all_the_same(cluster, space):
    with refused(403):
        cluster.limited().create(LEASE, space, objects.lease("held"), dryRun="All")


@pytest.mark.needs("rbac")
def test_who_may_impersonate_acts_as_the_other(cluster):
    code, answer = cluster.limited().send("POST", SELF_REVIEW.path(), {
        "apiVersion": SELF_REVIEW.group_version, "kind": SELF_REVIEW.kind
    })  # fmt: skip
    assert (code, answer["status"]["userInfo"]["username"]) == (201, NOBODY)


@pytest.mark.needs("rbac")
def test_who_may_not_impersonate_is_refused_as_who_it_is(cluster, space):
    both = {"verb": "impersonate", "resource": "users", "name": "somebody"}
    assert ask(cluster.kube, **both)["status"]["allowed"]
    assert not ask(cluster.limited(), **both)["status"]["allowed"]


def test_the_rules_of_an_account_are_told(kube, space):
    answer = kube.create(RULES_REVIEW, "", {"spec": {"namespace": space}})
    assert "incomplete" in answer["status"]
    assert all({"verbs"} <= set(rule) for rule in answer["status"]["resourceRules"] or ())


def test_a_review_of_another_kind_is_a_400(kube):
    body = {"apiVersion": "v1", "kind": "Pod", "spec": {}}
    with refused(400):
        kube.send("POST", ACCESS_REVIEW.path(), body)


def test_a_review_must_ask_for_something(kube):
    with refused(422):
        kube.create(ACCESS_REVIEW, "", {"spec": {}})


def test_a_review_is_not_kept(kube):
    with refused(405):
        kube.items(ACCESS_REVIEW)
