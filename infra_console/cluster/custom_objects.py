"""Reads and conditional writes of custom objects as JSON, for the modules that know their kinds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes import client as kubernetes

from infra_console.cluster.answers import pages, read_json
from infra_console.cluster.client import client_for
from infra_console.cluster.errors import InvalidRequest, ObjectConflict
from infra_console.cluster.patching import JSON_PATCH, Operations, op, write


@dataclass(frozen=True, slots=True)
class CustomKind:
    """Where a custom kind lives in the API."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    def place(self, namespace: str) -> dict[str, str]:
        where = {"group": self.group, "version": self.version, "plural": self.plural}
        return where | ({"namespace": namespace} if namespace else {})

    def label(self, namespace: str, name: str) -> str:
        return f"{self.kind} {namespace}/{name}" if namespace else f"{self.kind} {name}"


def read_custom(cluster_id: str, kind: CustomKind, namespace: str, name: str) -> dict[str, Any]:
    api = kubernetes.CustomObjectsApi(client_for(cluster_id))
    call = api.get_namespaced_custom_object if kind.namespaced else api.get_cluster_custom_object
    what = f"read {kind.label(namespace, name)}"
    return read_json(cluster_id, what, call, name=name, **kind.place(namespace))


def list_custom(
    cluster_id: str, kind: CustomKind, *, namespace: str = ""
) -> Iterator[dict[str, Any]]:
    """Objects of the whole cluster, or of one namespace."""
    api = kubernetes.CustomObjectsApi(client_for(cluster_id))
    call: Callable[..., Any] = api.list_cluster_custom_object
    if namespace:
        call = api.list_namespaced_custom_object
    return pages(cluster_id, f"list {kind.plural}", call, **kind.place(namespace))


def patch_tested(
    cluster_id: str,
    kind: CustomKind,
    item: Mapping[str, str],
    changes: Operations,
    *,
    manager: str = "",
    dry_run: bool,
) -> dict[str, Any]:
    """A JSON patch that rests on the resourceVersion the object had when it was read.

    Args:
        item: its `namespace` (empty for cluster-scoped kinds), `name` and `resource_version`.

    Raises:
        ObjectConflict: it changed since; nothing was written.
        InvalidRequest: it is as it was read, and the server refuses the change itself.
    """
    namespace, name, version = item["namespace"], item["name"], item["resource_version"]
    api = kubernetes.CustomObjectsApi(client_for(cluster_id))
    call = (
        api.patch_namespaced_custom_object if kind.namespaced else api.patch_cluster_custom_object
    )
    body = [op("test", "/metadata/resourceVersion", version), *changes]
    options: dict[str, Any] = {"name": name, "body": body, **kind.place(namespace)}
    what = f"patch {kind.label(namespace, name)}"
    try:
        return write(cluster_id, what, call, dry_run, kind=JSON_PATCH, manager=manager, **options)
    except InvalidRequest as err:
        # A failed `test` is a 422 as well; the version tells the two apart.
        held = read_custom(cluster_id, kind, namespace, name)
        if held["metadata"].get("resourceVersion") == version:
            raise
        raise ObjectConflict(cluster_id, err.problem) from err
