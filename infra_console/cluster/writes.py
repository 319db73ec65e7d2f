"""Conditional writes to one cluster, called by plan steps only.

Each is refused when the object has changed since it was read. A node's cordon and our annotations
go in one JSON patch with `test` on the resourceVersion, so that a cordon never stands without the
mark that says whose it is; its taints, one atomic list, go by JSON patch as well. The tier's label
is applied: see labels.py. `dry_run` asks the server to check and persist nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes import client as kubernetes
from kubernetes.client.exceptions import ApiException

from infra_console.cluster.client import FIELD_MANAGER, client_for
from infra_console.cluster.errors import (
    EvictionBlocked,
    InvalidRequest,
    ObjectConflict,
    retry_after_s,
    status_body,
    status_message,
    translated,
)
from infra_console.cluster.objects import DeploymentState, NodeState, PodState, Taint, node_state
from infra_console.cluster.patching import (
    JSON_PATCH,
    MERGE_PATCH,
    Operations,
    map_operations,
    op,
    write,
)
from infra_console.cluster.reads import read_node

TWO_BUDGETS = "more than one PodDisruptionBudget"  # the API server's words
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def change_node(
    cluster_id: str,
    node: NodeState,
    *,
    unschedulable: bool | None = None,
    labels: Mapping[str, str | None] | None = None,
    annotations: Mapping[str, str | None] | None = None,
    taints: Sequence[Taint] | None = None,
    manager: str = "",
    dry_run: bool,
) -> NodeState:
    """Write what is given to a node as it was read; a None value removes the key.

    Args:
        manager: in whose name, when a field is handed back to its owner; ours otherwise.

    Raises:
        ObjectConflict: the node changed since `node` was read; nothing was written.
        InvalidRequest: the node is as it was read, and the server refuses the change itself.
    """
    patch: Operations = [op("test", "/metadata/resourceVersion", node.resource_version)]
    patch += map_operations("/metadata/labels", node.labels, labels or {})
    patch += map_operations("/metadata/annotations", node.annotations, annotations or {})
    if taints is not None:
        patch += _taint_operations(node.taints, taints)
    if unschedulable is not None:
        patch += _cordon_operations(node, unschedulable)
    call = kubernetes.CoreV1Api(client_for(cluster_id)).patch_node
    what = f"patch node {node.name}"
    try:
        written = write(
            cluster_id,
            what,
            call,
            dry_run,
            kind=JSON_PATCH,
            manager=manager,
            name=node.name,
            body=patch,
        )
    except InvalidRequest as err:
        # A failed `test` and a change that is refused both are a 422, in words that differ from
        # server to server. The test is on the resourceVersion, so that tells them apart.
        if read_node(cluster_id, node.name).resource_version == node.resource_version:
            raise
        raise ObjectConflict(cluster_id, err.problem) from err
    return node_state(written)


def scale_deployment(
    cluster_id: str,
    deployment: DeploymentState,
    replicas: int,
    *,
    manager: str = "",
    dry_run: bool,
) -> None:
    """Set a Deployment's replicas through its scale subresource.

    Args:
        manager: in whose name, when the count is handed back to its owner; ours otherwise.

    Raises:
        ObjectConflict: the Deployment changed since it was read; nothing was written.
    """
    name, namespace = deployment.name, deployment.namespace
    body = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": deployment.uid,
            "resourceVersion": deployment.resource_version,
        },
        "spec": {"replicas": replicas},
    }
    call = kubernetes.AppsV1Api(client_for(cluster_id)).replace_namespaced_deployment_scale
    what = f"scale {namespace}/{name} to {replicas}"
    options: dict[str, Any] = {"name": name, "namespace": namespace, "body": body}
    write(cluster_id, what, call, dry_run, manager=manager, **options)


def set_deletion_cost(cluster_id: str, pod: PodState, cost: int, *, dry_run: bool) -> None:
    """Say how early a pod goes when its Deployment shrinks: lower goes first.

    Raises:
        ObjectConflict: the pod changed since it was read; nothing was written.
    """
    annotate_pod(cluster_id, pod, {DELETION_COST: str(cost)}, dry_run=dry_run)


def annotate_pod(
    cluster_id: str, pod: PodState, annotations: Mapping[str, str], *, dry_run: bool
) -> None:
    """Set annotations of a pod as it was read.

    Raises:
        ObjectConflict: the pod changed since it was read; nothing was written.
    """
    body = {
        "metadata": {
            "uid": pod.uid,
            "resourceVersion": pod.resource_version,
            "annotations": dict(annotations),
        }
    }
    call = kubernetes.CoreV1Api(client_for(cluster_id)).patch_namespaced_pod
    what, place = f"patch pod {pod.namespace}/{pod.name}", {"namespace": pod.namespace}
    write(cluster_id, what, call, dry_run, name=pod.name, body=body, kind=MERGE_PATCH, **place)


def evict_pod(cluster_id: str, pod: PodState, *, dry_run: bool) -> None:
    """Ask for one pod's eviction; its disruption budget is honoured by the server.

    Raises:
        EvictionBlocked: a budget refuses for now, or two budgets cover the pod.
        ObjectMissing: it has gone already. ObjectConflict: another pod has its name now.
    """
    options: dict[str, Any] = {"preconditions": {"uid": pod.uid}}
    if dry_run:
        options["dryRun"] = ["All"]
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
        "deleteOptions": options,
    }
    call: Any = kubernetes.CoreV1Api(client_for(cluster_id)).create_namespaced_pod_eviction
    what = f"evict {pod.namespace}/{pod.name}"
    with translated(cluster_id, what):
        try:
            call(
                name=pod.name,
                namespace=pod.namespace,
                body=body,
                field_manager=FIELD_MANAGER,
                _preload_content=False,
                **({"dry_run": "All"} if dry_run else {}),
            ).drain_conn()
        except ApiException as err:
            if blocked := _blocked(cluster_id, what, err):
                raise blocked from err
            raise


def _blocked(cluster_id: str, what: str, err: ApiException) -> EvictionBlocked | None:
    """A budget's refusal: 429 with its cause, or 500 for a pod under two budgets.

    Any other 500 is the server's own trouble, in which no budget has spoken.
    """
    causes = (status_body(err).get("details") or {}).get("causes") or ()
    budget = next((c for c in causes if c.get("reason") == "DisruptionBudget"), None)
    two_budgets = err.status == 500 and TWO_BUDGETS in status_message(err)
    if (err.status == 429 and budget) or two_budgets:
        cause = str((budget or {}).get("message") or status_message(err))
        wait_s = retry_after_s(err, default_s=5.0)
        return EvictionBlocked(cluster_id, f"{what}: {cause}", retry_after_s=wait_s, cause=cause)
    return None


def _taint_operations(held: Sequence[Taint], wanted: Sequence[Taint]) -> Operations:
    """Replace the one atomic list, resting on the resourceVersion tested before."""
    if tuple(held) == tuple(wanted):
        return []
    return [op("add", "/spec/taints", [_taint_json(t) for t in wanted])]


def _taint_json(taint: Taint) -> dict[str, str]:
    fields = {"value": taint.value, "timeAdded": taint.added_at}
    kept = {name: text for name, text in fields.items() if text}
    return {"key": taint.key, "effect": taint.effect, **kept}


def _cordon_operations(node: NodeState, unschedulable: bool) -> Operations:
    """The cordon flag; absent means schedulable and cannot be tested by every server."""
    test = [op("test", "/spec/unschedulable", True)] if node.unschedulable else []
    return [*test, op("add", "/spec/unschedulable", unschedulable)]
