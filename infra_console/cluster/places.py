"""Where the kinds live that plans write to.

Kinds of a named group are reached by one path pattern, built in or custom.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kubernetes import client as kubernetes

from infra_console.cluster.answers import pages, read_json
from infra_console.cluster.client import client_for
from infra_console.cluster.errors import ObjectMissing


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of a named API group."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}"

    def place(self, namespace: str) -> dict[str, str]:
        where = {"group": self.group, "version": self.version, "plural": self.plural}
        return where | ({"namespace": namespace} if self.namespaced else {})

    def words(self, namespace: str, name: str) -> str:
        return f"{self.kind} {namespace}/{name}" if self.namespaced else f"{self.kind} {name}"

    def verb(self, cluster_id: str, verb: str, sub: str = "") -> Callable[..., Any]:
        """The client's call: `get`, `patch` or `replace`, of the object or of its `scale`."""
        scope = "namespaced" if self.namespaced else "cluster"
        name = f"{verb}_{scope}_custom_object" + (f"_{sub}" if sub else "")
        call: Callable[..., Any] = getattr(
            kubernetes.CustomObjectsApi(client_for(cluster_id)), name
        )
        return call


def serves(cluster_id: str, kind: Kind) -> bool:
    """Whether the API knows the kind in the version we speak; anybody signed in may ask."""
    call = kubernetes.CustomObjectsApi(client_for(cluster_id)).get_api_resources
    try:
        found = read_json(
            cluster_id, f"look for {kind.kind}", call, group=kind.group, version=kind.version
        )
    except ObjectMissing:
        return False
    return any(held.get("name") == kind.plural for held in found.get("resources") or ())


def read_object(cluster_id: str, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
    what = f"read {kind.words(namespace, name)}"
    call = kind.verb(cluster_id, "get")
    return read_json(cluster_id, what, call, name=name, **kind.place(namespace))


def list_objects(
    cluster_id: str, kind: Kind, *, namespace: str = "", labels: str = ""
) -> Iterator[dict[str, Any]]:
    """Objects of the whole cluster or of one namespace, those that a label selector takes."""
    api = kubernetes.CustomObjectsApi(client_for(cluster_id))
    call: Callable[..., Any] = api.list_cluster_custom_object
    options: dict[str, Any] = {
        "group": kind.group,
        "version": kind.version,
        "plural": kind.plural,
    }
    if namespace:
        call, options["namespace"] = api.list_namespaced_custom_object, namespace
    if labels:
        options["label_selector"] = labels
    return pages(cluster_id, f"list {kind.plural}", call, **options)
