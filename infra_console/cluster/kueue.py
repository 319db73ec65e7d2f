"""Kueue: queues and their Workloads, read, and changed one field at a time.

A Workload's `active` and a queue's nominal quota are written by JSON patch under the
resourceVersion, our marks in the same patch, so that no change of ours ever stands without saying
whose it is. The quota lies in one atomic list: an apply of it would own every flavour. `active`
belongs to Kueue itself from the Workload's first moment: an apply of it would always conflict.
"""

from collections.abc import Mapping
from typing import Any

from kubernetes import client as kubernetes

from infra_console.cluster.answers import read_json
from infra_console.cluster.client import client_for
from infra_console.cluster.custom_objects import CustomKind, list_custom, patch_tested, read_custom
from infra_console.cluster.errors import ObjectMissing
from infra_console.cluster.kueue_objects import (
    ClusterQueueState,
    FlavorState,
    QuotaState,
    WorkloadState,
    cluster_queue_state,
    flavor_state,
    workload_state,
)
from infra_console.cluster.patching import Operations, map_operations, op

GROUP, VERSION = "kueue.x-k8s.io", "v1beta2"
CLUSTER_QUEUE = CustomKind(GROUP, VERSION, "ClusterQueue", "clusterqueues", False)
LOCAL_QUEUE = CustomKind(GROUP, VERSION, "LocalQueue", "localqueues", True)
WORKLOAD = CustomKind(GROUP, VERSION, "Workload", "workloads", True)
FLAVOR = CustomKind(GROUP, VERSION, "ResourceFlavor", "resourceflavors", False)
# Kueue makes every Workload, `active` included: that is no opinion of anybody's.
KUEUE_ITSELF = frozenset({"kueue", "kueue-controller-manager", "manager"})


def read_cluster_queue(cluster_id: str, name: str) -> ClusterQueueState:
    return cluster_queue_state(read_custom(cluster_id, CLUSTER_QUEUE, "", name))


def read_workload(cluster_id: str, namespace: str, name: str) -> WorkloadState:
    return workload_state(read_custom(cluster_id, WORKLOAD, namespace, name))


def list_cluster_queues(cluster_id: str) -> list[ClusterQueueState]:
    """Every ClusterQueue; none where Kueue is not installed."""
    return [cluster_queue_state(i) for i in _listed(cluster_id, CLUSTER_QUEUE)]


def list_workloads(cluster_id: str, *, namespace: str = "") -> list[WorkloadState]:
    """Workloads of the whole cluster or of one namespace; none where Kueue is not installed."""
    return [workload_state(i) for i in _listed(cluster_id, WORKLOAD, namespace)]


def list_flavors(cluster_id: str) -> list[FlavorState]:
    return [flavor_state(i) for i in _listed(cluster_id, FLAVOR)]


def list_local_queues(cluster_id: str) -> list[tuple[str, str]]:
    """The namespace of each LocalQueue and the ClusterQueue that it leads to."""
    found = _listed(cluster_id, LOCAL_QUEUE)
    return [(i["metadata"]["namespace"], i["spec"]["clusterQueue"]) for i in found]


def serves_kueue(cluster_id: str) -> bool:
    """Whether the API knows Kueue's kinds in the version we speak; anybody signed in may ask."""
    call = kubernetes.CustomObjectsApi(client_for(cluster_id)).get_api_resources
    try:
        read_json(cluster_id, "look for Kueue", call, group=GROUP, version=VERSION)
    except ObjectMissing:
        return False
    return True


def set_active(
    cluster_id: str,
    workload: WorkloadState,
    active: bool,
    *,
    annotations: Mapping[str, str | None],
    dry_run: bool,
) -> WorkloadState:
    """Deactivate or reactivate a Workload.

    Raises:
        ObjectConflict: it changed since it was read; nothing was written.
    """
    changes = [op("add", "/spec/active", active)]
    changes += map_operations("/metadata/annotations", workload.annotations, annotations)
    item = {
        "namespace": workload.namespace,
        "name": workload.name,
        "resource_version": workload.resource_version,
    }
    return workload_state(patch_tested(cluster_id, WORKLOAD, item, changes, dry_run=dry_run))


def set_quota(
    cluster_id: str,
    queue: ClusterQueueState,
    quota: QuotaState,
    value: Any,
    *,
    annotations: Mapping[str, str | None],
    manager: str = "",
    dry_run: bool,
) -> ClusterQueueState:
    """Write one nominal quota, resting on the flavour, resource and value that were read.

    Args:
        value: as the server is to keep it: a number, or text.
        manager: in whose name; ours unless the field is handed back to whoever owned it before.

    Raises:
        ObjectConflict: the queue changed since it was read; nothing was written.
    """
    changes: Operations = [
        op("test", f"{quota.flavor_path}/name", quota.flavor),
        op("test", f"{quota.path}/name", quota.resource),
        op("test", f"{quota.path}/nominalQuota", quota.raw),
        op("replace", f"{quota.path}/nominalQuota", value),
        *map_operations("/metadata/annotations", queue.annotations, annotations),
    ]
    item = {"namespace": "", "name": queue.name, "resource_version": queue.resource_version}
    written = patch_tested(
        cluster_id, CLUSTER_QUEUE, item, changes, manager=manager, dry_run=dry_run
    )
    return cluster_queue_state(written)


def _listed(cluster_id: str, kind: CustomKind, namespace: str = "") -> list[dict[str, Any]]:
    try:
        return list(list_custom(cluster_id, kind, namespace=namespace))
    except ObjectMissing:  # the kind is not served
        return []
