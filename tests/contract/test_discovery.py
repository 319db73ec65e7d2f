"""What a server says of itself, and generic clients that rest on it.

https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

import pytest
from kubernetes.dynamic import DynamicClient

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, FLAVOR, LEASE


def resources(kube, group_version: str) -> dict[str, dict]:
    root = "/apis/" if "/" in group_version else "/api/"
    _, found = kube.send("GET", root + group_version)
    assert (found["kind"], found["groupVersion"]) == ("APIResourceList", group_version)
    return {entry["name"]: entry for entry in found["resources"]}


def test_the_version_is_told(kube):
    _, version = kube.send("GET", "/version")
    assert version["major"] == "1"
    assert version["gitVersion"].startswith("v1.")


def test_the_core_api_is_version_one(kube):
    _, found = kube.send("GET", "/api")
    assert (found["kind"], found["versions"]) == ("APIVersions", ["v1"])


@pytest.mark.parametrize(
    "group",
    ["apps", "batch", "policy", "autoscaling", "coordination.k8s.io", "authorization.k8s.io"],
)
def test_groups_are_listed_with_a_preferred_version(kube, group):
    _, found = kube.send("GET", "/apis")
    assert found["kind"] == "APIGroupList"
    (entry,) = [g for g in found["groups"] if g["name"] == group]
    assert entry["preferredVersion"] in entry["versions"]
    _, alone = kube.send("GET", f"/apis/{group}")
    assert (alone["kind"], alone["name"]) == ("APIGroup", group)


def test_a_resource_tells_its_kind_and_verbs(kube):
    entry = resources(kube, "apps/v1")["deployments"]
    assert (entry["kind"], entry["namespaced"]) == ("Deployment", True)
    assert entry["singularName"] == "deployment"
    assert "deploy" in entry["shortNames"]
    wanted = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert set(entry["verbs"]) == wanted


def test_cluster_resources_are_not_namespaced(kube):
    assert resources(kube, "v1")["nodes"]["namespaced"] is False


@pytest.mark.parametrize("parent", ["deployments", "statefulsets", "replicasets"])
def test_the_scale_subresource_is_listed_with_its_own_kind(kube, parent):
    entry = resources(kube, "apps/v1")[f"{parent}/scale"]
    assert (entry["group"], entry["version"], entry["kind"]) == ("autoscaling", "v1", "Scale")
    assert set(entry["verbs"]) == {"get", "patch", "update"}


def test_the_eviction_subresource_is_listed_with_its_own_kind(kube):
    entry = resources(kube, "v1")["pods/eviction"]
    assert (entry["group"], entry["version"], entry["kind"]) == ("policy", "v1", "Eviction")
    assert entry["verbs"] == ["create"]


@pytest.mark.parametrize(
    ("name", "kind", "verbs"),
    [("pods/binding", "Binding", ["create"]), ("namespaces/finalize", "Namespace", ["update"])],
)
def test_subresources_that_only_take_are_listed_so(kube, name, kind, verbs):
    entry = resources(kube, "v1")[name]
    assert (entry["kind"], entry["verbs"]) == (kind, verbs)


def test_status_subresources_are_listed(kube):
    assert set(resources(kube, "v1")["nodes/status"]["verbs"]) == {"get", "patch", "update"}


@pytest.fixture
def dynamic(api, tmp_path) -> DynamicClient:
    return DynamicClient(api, cache_file=str(tmp_path / "discovery.json"))


def test_the_dynamic_client_works_by_discovery_alone(dynamic, space):
    leases = dynamic.resources.get(api_version=LEASE.group_version, kind="Lease")
    leases.create(body=objects.lease("held"), namespace=space)
    body = {"metadata": {"name": "held"}, "spec": {"holderIdentity": "dynamic"}}
    leases.patch(body=body, namespace=space, content_type="application/merge-patch+json")
    assert leases.get(name="held", namespace=space).spec.holderIdentity == "dynamic"


def test_the_dynamic_client_reaches_subresources(dynamic, space, deployed):
    found = dynamic.resources.get(api_version=DEPLOYMENT.group_version, kind="Deployment")
    assert found.scale.get(name="chat", namespace=space).kind == "Scale"


@pytest.mark.needs("custom")
def test_the_dynamic_client_works_on_custom_kinds(dynamic, unique):
    name = unique("flavor")
    flavors = dynamic.resources.get(api_version=FLAVOR.group_version, kind="ResourceFlavor")
    flavors.create(body=objects.flavor(name))
    assert flavors.get(name=name).metadata.name == name
    flavors.patch(
        name=name,
        body={"metadata": {"finalizers": None}},
        content_type="application/merge-patch+json",
    )
    flavors.delete(name=name)
