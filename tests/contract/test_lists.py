"""Lists: label and field selectors, pages of one consistent moment.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api,
https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/ and
https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import LEASE, NODE, POD
from tests.contract.kube import refused

TEAMS = {"a": {"team": "blue"}, "b": {"team": "red"}, "c": {"team": "blue", "gpu": "yes"}, "d": {}}


@pytest.fixture
def leases(kube, space) -> str:
    for name, labels in TEAMS.items():
        kube.create(LEASE, space, objects.lease(name, labels=labels))
    return space


def names(items) -> list[str]:
    return [item["metadata"]["name"] for item in items]


def test_a_list_has_a_kind_and_a_version(kube, leases):
    found = kube.listed(LEASE, leases)
    assert (found["kind"], found["apiVersion"]) == ("LeaseList", "coordination.k8s.io/v1")
    assert found["metadata"]["resourceVersion"]


def test_a_list_is_sorted_by_name(kube, leases):
    assert names(kube.items(LEASE, leases)) == ["a", "b", "c", "d"]


def test_a_list_of_all_namespaces_has_those_of_each(kube, leases):
    found = kube.items(LEASE, labelSelector="gpu=yes")
    assert leases in {item["metadata"]["namespace"] for item in found}


def test_an_empty_list_is_a_list(kube, space):
    assert kube.items(LEASE, space) == []


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("team=blue", "ac"),
        ("team==red", "b"),
        ("team!=blue", "bd"),
        ("team in (blue, red)", "abc"),
        ("team notin (blue)", "bd"),
        ("team", "abc"),
        ("!team", "d"),
        ("team=blue,gpu=yes", "c"),
        ("team=green", ""),
    ],
)
def test_label_selectors(kube, leases, selector, wanted):
    assert names(kube.items(LEASE, leases, labelSelector=selector)) == list(wanted)


def test_a_label_selector_that_cannot_be_read_is_a_400(kube, leases):
    with refused(400) as caught:
        kube.items(LEASE, leases, labelSelector="team in blue")
    assert caught.value.reason == "BadRequest"


@pytest.mark.parametrize("selector", ["team=@@", "-team-=blue", "team in (no spaces)"])
def test_a_label_that_cannot_be_is_a_400(kube, leases, selector):
    with refused(400):
        kube.items(LEASE, leases, labelSelector=selector)


def test_a_list_of_a_missing_namespace_is_empty(kube, unique):
    assert kube.items(LEASE, unique("nowhere")) == []


def test_a_field_selector_picks_by_name(kube, leases):
    assert names(kube.items(LEASE, leases, fieldSelector="metadata.name=b")) == ["b"]
    assert names(kube.items(LEASE, leases, fieldSelector="metadata.name!=b")) == ["a", "c", "d"]


def test_pods_are_picked_by_node_and_phase(kube, space, node):
    kube.create(POD, space, objects.pod("bound", space, on=node))
    kube.create(POD, space, objects.pod("free", "nowhere"))
    assert names(kube.items(POD, space, fieldSelector=f"spec.nodeName={node}")) == ["bound"]
    assert names(kube.items(POD, space, fieldSelector="spec.nodeName=")) == ["free"]
    pending = "status.phase=Pending,metadata.name=free"
    assert names(kube.items(POD, space, fieldSelector=pending)) == ["free"]
    assert kube.items(POD, space, fieldSelector="status.phase=Failed") == []


def test_cordoned_nodes_are_picked_by_field(kube, make_node):
    cordoned, open_one = make_node(), make_node()
    kube.patch(NODE, "", cordoned, {"spec": {"unschedulable": True}})
    found = names(kube.items(NODE, fieldSelector="spec.unschedulable=true"))
    assert cordoned in found and open_one not in found


@pytest.mark.parametrize(("kind", "field"), [(LEASE, "spec.holderIdentity"), (POD, "spec.color")])
def test_a_field_that_a_kind_does_not_select_by_is_a_400(kube, space, kind, field):
    with refused(400) as caught:
        kube.items(kind, space, fieldSelector=f"{field}=x")
    assert caught.value.reason == "BadRequest"


def test_a_list_comes_in_pages(kube, leases):
    first = kube.listed(LEASE, leases, limit=3)
    assert names(first["items"]) == ["a", "b", "c"]
    assert first["metadata"].get("remainingItemCount", 1) == 1
    token = first["metadata"]["continue"]
    rest = kube.listed(LEASE, leases, limit=3, **{"continue": token})
    assert names(rest["items"]) == ["d"]
    assert not rest["metadata"].get("continue")


def test_what_is_left_of_a_selection_is_not_counted(kube, leases):
    page = kube.listed(LEASE, leases, limit=1, labelSelector="team=blue")
    assert page["metadata"]["continue"]
    assert "remainingItemCount" not in page["metadata"]


def test_every_page_shows_the_moment_of_the_first(kube, leases):
    first = kube.listed(LEASE, leases, limit=2)
    kube.delete(LEASE, leases, "d")
    kube.create(LEASE, leases, objects.lease("e"))
    kube.patch(LEASE, leases, "c", {"spec": {"holderIdentity": "later"}})
    rest = kube.listed(LEASE, leases, **{"continue": first["metadata"]["continue"]})
    assert names(rest["items"]) == ["c", "d"]
    assert rest["items"][0]["spec"]["holderIdentity"] == "console-a"
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_continue_token_of_nobody_is_a_400(kube, leases):
    with refused(400):
        kube.listed(LEASE, leases, limit=1, **{"continue": "not-a-token"})


def test_a_page_has_the_version_of_the_first_and_no_other(kube, leases):
    first = kube.listed(LEASE, leases, limit=2)["metadata"]
    with refused(400):
        query = {"continue": first["continue"], "resourceVersion": first["resourceVersion"]}
        kube.listed(LEASE, leases, limit=2, **query)


def test_a_continue_token_too_old_is_a_410(cluster, kube, leases):
    """With a token in the answer that goes on, no longer of the same moment."""
    first = kube.listed(LEASE, leases, limit=2)
    if not cluster.forget_history():
        pytest.skip("history: a real server compacts when it likes")
    with refused(410) as caught:
        kube.listed(LEASE, leases, limit=2, **{"continue": first["metadata"]["continue"]})
    assert caught.value.reason == "Expired"
    onward = caught.value.body["metadata"]["continue"]
    rest = kube.listed(LEASE, leases, limit=2, **{"continue": onward})
    assert names(rest["items"]) == ["c", "d"]


def test_a_list_of_an_exact_version_shows_that_moment(kube, leases):
    version = kube.listed(LEASE, leases)["metadata"]["resourceVersion"]
    kube.delete(LEASE, leases, "a")
    exact = {"resourceVersion": version, "resourceVersionMatch": "Exact"}
    assert names(kube.items(LEASE, leases, **exact)) == ["a", "b", "c", "d"]


def test_a_list_that_cannot_be_meant_is_a_422(kube, leases):
    for query in (
        {"resourceVersionMatch": "Exact"},
        {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
        {"resourceVersionMatch": "Sometimes", "resourceVersion": "1"},
    ):
        with refused(422) as caught:
            kube.listed(LEASE, leases, **query)
        assert caught.value.details["kind"] == "ListOptions"


def test_a_version_that_is_yet_to_come_is_waited_for_in_vain(kube, leases):
    """A 504 after some seconds; the message and a cause say what was wrong."""
    with refused(504) as caught:
        kube.listed(LEASE, leases, resourceVersion=str(2**60))
    assert (caught.value.reason, "Too large resource version" in caught.value.message) == (
        "Timeout",
        True,
    )


def test_a_list_at_version_zero_is_whatever_is_at_hand(kube, leases):
    found = kube.listed(LEASE, leases, resourceVersion="0")
    assert found["kind"] == "LeaseList"
