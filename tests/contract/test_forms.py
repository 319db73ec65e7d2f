"""The forms of an answer: table rows, metadata alone, OpenAPI, aggregated discovery.

https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
and https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

import itertools

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, LEASE, POD
from tests.contract.kube import refused

META = "meta.k8s.io/v1"
JSON = "application/json"


def form(kind: str) -> str:
    return f"{JSON};as={kind};v=v1;g=meta.k8s.io"


@pytest.fixture
def tables(kube):
    return kube.accepting(f"{form('Table')},{JSON}")


def cells(table, column: str) -> list:
    names = [c["name"] for c in table["columnDefinitions"]]
    return [row["cells"][names.index(column)] for row in table["rows"]]


def test_a_list_comes_as_a_table(kube, tables, space):
    kube.create(POD, space, objects.pod("one", "nowhere"))
    table = tables.listed(POD, space)
    assert (table["kind"], table["apiVersion"]) == ("Table", META)
    assert table["metadata"]["resourceVersion"]
    assert (cells(table, "Name"), cells(table, "Status")) == (["one"], ["Pending"])
    beside = table["rows"][0]["object"]
    assert (beside["kind"], beside["apiVersion"]) == ("PartialObjectMetadata", META)
    assert beside["metadata"]["name"] == "one"


def test_columns_have_a_type_and_a_priority(tables, space, deployed):
    (row,) = tables.listed(DEPLOYMENT, space)["rows"]
    defined = tables.listed(DEPLOYMENT, space)["columnDefinitions"]
    assert len(row["cells"]) == len(defined)
    assert all({"name", "type", "format", "description", "priority"} <= set(c) for c in defined)
    assert (defined[0]["name"], defined[0]["type"]) == ("Name", "string")


def test_one_object_comes_as_a_table_of_one_row(tables, space, deployed):
    assert cells(tables.get(DEPLOYMENT, space, "chat"), "Name") == ["chat"]


def test_rows_bring_their_whole_object_when_asked(tables, space, lease):
    table = tables.listed(LEASE, space, includeObject="Object")
    assert table["rows"][0]["object"]["spec"]["holderIdentity"] == "console-a"


def test_a_table_comes_in_pages(kube, tables, space):
    for name in ("a", "b", "c"):
        kube.create(LEASE, space, objects.lease(name))
    first = tables.listed(LEASE, space, limit=2)
    rest = tables.listed(LEASE, space, **{"continue": first["metadata"]["continue"]})
    assert cells(first, "Name") + [row["cells"][0] for row in rest["rows"]] == ["a", "b", "c"]


def test_a_watch_comes_as_tables_that_name_their_columns_once(kube, tables, space):
    start = kube.listed(LEASE, space)["metadata"]["resourceVersion"]
    for name in ("a", "b"):
        kube.create(LEASE, space, objects.lease(name))
    events = tables.watch(LEASE, space, resourceVersion=start)
    first, second = (e["object"] for e in itertools.islice(events, 2))
    events.close()
    assert cells(first, "Name") == ["a"]
    assert not second.get("columnDefinitions")
    assert second["rows"][0]["cells"][0] == "b"


def test_metadata_comes_alone(kube, space, lease):
    bare = kube.accepting(form("PartialObjectMetadata")).get(LEASE, space, "held")
    assert (bare["kind"], bare["apiVersion"]) == ("PartialObjectMetadata", META)
    assert bare["metadata"] == lease["metadata"]
    assert "spec" not in bare
    listed = kube.accepting(form("PartialObjectMetadataList")).listed(LEASE, space)
    assert listed["kind"] == "PartialObjectMetadataList"
    assert [item["metadata"] for item in listed["items"]] == [lease["metadata"]]


def test_metadata_alone_is_watched(kube, space, lease):
    events = kube.accepting(form("PartialObjectMetadata")).watch(LEASE, space)
    first = next(events)
    events.close()
    assert (first["type"], first["object"]["kind"]) == ("ADDED", "PartialObjectMetadata")
    assert first["object"]["metadata"]["name"] == "held"


def test_the_first_form_that_is_known_is_taken(kube, space, lease):
    strange = f"{JSON};as=Poem;v=v1;g=meta.k8s.io"
    assert kube.accepting(f"{strange},{JSON}").get(LEASE, space, "held")["kind"] == "Lease"
    with refused(406) as caught:
        kube.accepting(strange).get(LEASE, space, "held")
    assert caught.value.reason == "NotAcceptable"


def test_a_refusal_is_a_status_in_every_form(tables, space):
    with refused(404) as caught:
        tables.get(LEASE, space, "gone")
    assert caught.value.body["kind"] == "Status"


def test_openapi_tells_what_may_be_sent(kube):
    """Where kubectl looks before it leaves the checking of fields to the server."""
    _, found = kube.send("GET", "/openapi/v3")
    place = found["paths"]["apis/apps/v1"]["serverRelativeURL"]
    _, document = kube.send("GET", place)
    path = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    wanted = {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert path["patch"]["x-kubernetes-group-version-kind"] == wanted
    assert "fieldValidation" in {p["name"] for p in path["patch"]["parameters"]}
    kinds = [
        schema
        for schema in document["components"]["schemas"].values()
        if wanted in schema.get("x-kubernetes-group-version-kind", ())
    ]
    assert {"metadata", "spec", "status"} <= set(kinds[0]["properties"])


def test_discovery_comes_in_one_document(kube):
    asked = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{JSON}"
    _, found = kube.accepting(asked).send("GET", "/apis")
    assert (found["kind"], found["apiVersion"]) == (
        "APIGroupDiscoveryList",
        "apidiscovery.k8s.io/v2",
    )
    (apps,) = [g for g in found["items"] if g["metadata"].get("name") == "apps"]
    resources = {r["resource"]: r for r in apps["versions"][0]["resources"]}
    held = resources["deployments"]
    assert (held["responseKind"]["kind"], held["scope"]) == ("Deployment", "Namespaced")
    assert "deploy" in held["shortNames"] and "all" in held["categories"]
    assert {"scale", "status"} <= {s["subresource"] for s in held["subresources"]}
