"""Reads of one cluster, paged. Every function takes the cluster's id and may raise ClusterError."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from kubernetes.client import AppsV1Api, CoreV1Api, VersionApi

from infra_console.cluster.client import client_for
from infra_console.cluster.errors import translated
from infra_console.cluster.objects import (
    DeploymentState,
    NodeState,
    PodState,
    deployment_state,
    node_state,
    pod_state,
)

PAGE_OBJECTS = 500


def list_nodes(cluster_id: str) -> list[NodeState]:
    api = CoreV1Api(client_for(cluster_id))
    return [node_state(i) for i in _pages(cluster_id, "list nodes", api.list_node)]


def list_pods(cluster_id: str, *, node: str = "", namespace: str = "") -> list[PodState]:
    """Pods of the whole cluster, of one node, or of one namespace."""
    api, options = CoreV1Api(client_for(cluster_id)), {}
    if node:
        options["field_selector"] = f"spec.nodeName={node}"
    call: Callable[..., Any] = api.list_pod_for_all_namespaces
    if namespace:
        call, options["namespace"] = api.list_namespaced_pod, namespace
    return [pod_state(i) for i in _pages(cluster_id, "list pods", call, **options)]


def read_node(cluster_id: str, name: str) -> NodeState:
    api = CoreV1Api(client_for(cluster_id))
    return node_state(_json(cluster_id, f"read node {name}", api.read_node, name=name))


def read_pod(cluster_id: str, namespace: str, name: str) -> PodState:
    call = CoreV1Api(client_for(cluster_id)).read_namespaced_pod
    what = f"read pod {namespace}/{name}"
    return pod_state(_json(cluster_id, what, call, name=name, namespace=namespace))


def read_deployment(cluster_id: str, namespace: str, name: str) -> DeploymentState:
    call = AppsV1Api(client_for(cluster_id)).read_namespaced_deployment
    what = f"read deployment {namespace}/{name}"
    return deployment_state(_json(cluster_id, what, call, name=name, namespace=namespace))


def read_version(cluster_id: str) -> str:
    """The API server's version, such as v1.33.1."""
    answer = _json(cluster_id, "read version", VersionApi(client_for(cluster_id)).get_code)
    return str(answer.get("gitVersion", "unknown"))


def _json(cluster_id: str, what: str, call: Callable[..., Any], **options: Any) -> dict[str, Any]:
    """One answer as JSON; the client's models cost more than the request on large lists."""
    with translated(cluster_id, what):
        answer = json.loads(call(**options, _preload_content=False).data)
        if not isinstance(answer, dict):
            raise ValueError("the answer is no object")
        return answer


def _pages(
    cluster_id: str, what: str, call: Callable[..., Any], **options: Any
) -> Iterator[dict[str, Any]]:
    """Every item of a list, page by page."""
    token = ""
    while True:
        more = {"_continue": token} if token else {}
        page = _json(cluster_id, what, call, limit=PAGE_OBJECTS, **options, **more)
        yield from page.get("items") or ()
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return
