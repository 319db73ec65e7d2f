"""Reads of one cluster, paged. Every function takes the cluster's id and may raise ClusterError."""

from collections.abc import Callable
from typing import Any

from kubernetes import client as kubernetes

from infra_console.cluster.answers import pages as _pages
from infra_console.cluster.answers import read_json as _json
from infra_console.cluster.client import client_for
from infra_console.cluster.objects import (
    DeploymentState,
    NodeState,
    PodState,
    deployment_state,
    node_state,
    pod_state,
)


def list_nodes(cluster_id: str) -> list[NodeState]:
    api = kubernetes.CoreV1Api(client_for(cluster_id))
    return [node_state(i) for i in _pages(cluster_id, "list nodes", api.list_node)]


def list_pods(cluster_id: str, *, node: str = "", namespace: str = "") -> list[PodState]:
    """Pods of the whole cluster, of one node, or of one namespace."""
    api, options = kubernetes.CoreV1Api(client_for(cluster_id)), {}
    if node:
        options["field_selector"] = f"spec.nodeName={node}"
    call: Callable[..., Any] = api.list_pod_for_all_namespaces
    if namespace:
        call, options["namespace"] = api.list_namespaced_pod, namespace
    return [pod_state(i) for i in _pages(cluster_id, "list pods", call, **options)]


def read_node(cluster_id: str, name: str) -> NodeState:
    api = kubernetes.CoreV1Api(client_for(cluster_id))
    return node_state(_json(cluster_id, f"read node {name}", api.read_node, name=name))


def read_pod(cluster_id: str, namespace: str, name: str) -> PodState:
    call = kubernetes.CoreV1Api(client_for(cluster_id)).read_namespaced_pod
    what = f"read pod {namespace}/{name}"
    return pod_state(_json(cluster_id, what, call, name=name, namespace=namespace))


def read_deployment(cluster_id: str, namespace: str, name: str) -> DeploymentState:
    call = kubernetes.AppsV1Api(client_for(cluster_id)).read_namespaced_deployment
    what = f"read deployment {namespace}/{name}"
    return deployment_state(_json(cluster_id, what, call, name=name, namespace=namespace))


def read_version(cluster_id: str) -> str:
    """The API server's version, such as v1.33.1."""
    answer = _json(
        cluster_id, "read version", kubernetes.VersionApi(client_for(cluster_id)).get_code
    )
    return str(answer.get("gitVersion", "unknown"))
