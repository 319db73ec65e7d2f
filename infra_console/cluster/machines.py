"""The machines behind nodes that are paid for: Cluster API's Machines, Karpenter's NodeClaims."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra_console.cluster.patching import MERGE_PATCH, write
from infra_console.cluster.places import Kind, list_objects
from infra_console.cluster.scaling import ScaleState

MACHINE = Kind("cluster.x-k8s.io", "v1beta2", "Machine", "machines")
NODE_CLAIM = Kind("karpenter.sh", "v1", "NodeClaim", "nodeclaims", namespaced=False)
DEPLOYMENT_NAME = "cluster.x-k8s.io/deployment-name"
DELETE_FIRST = "cluster.x-k8s.io/delete-machine"
POOL_NAME = "karpenter.sh/nodepool"
# What a provider says when it has no such machine, or will not give one.
REFUSAL = re.compile(r"insufficient|capacity|quota|limit|failed", re.IGNORECASE)
BOUGHT = ("InfrastructureReady", "Launched")


@dataclass(frozen=True, slots=True)
class MachineState:
    """A machine. `node` is empty until it has joined; `refused` is the provider's reason why it
    gives none; `mark` is who wants it to go first."""

    namespace: str
    name: str
    node: str
    ready: bool
    leaving: bool
    mark: str
    refused: str
    resource_version: str


def list_machines(cluster_id: str, held: ScaleState) -> list[MachineState]:
    """Those of one MachineDeployment, or of one NodePool."""
    if held.kind == "NodePool":
        labels = f"{POOL_NAME}={held.name}"
        return [machine_state(i) for i in list_objects(cluster_id, NODE_CLAIM, labels=labels)]
    labels = f"{DEPLOYMENT_NAME}={held.name}"
    items = list_objects(cluster_id, MACHINE, namespace=held.namespace, labels=labels)
    return [machine_state(i) for i in items]


def machine_state(item: Mapping[str, Any]) -> MachineState:
    meta, status = item["metadata"], item.get("status") or {}
    conditions: dict[str, Any] = {c.get("type"): c for c in status.get("conditions") or ()}
    bought: Mapping[str, Any] = next(
        (conditions[kind] for kind in BOUGHT if kind in conditions), {}
    )
    said = f"{bought.get('reason', '')}: {bought.get('message', '')}".strip(": ")
    refused = said if bought.get("status") == "False" and REFUSAL.search(said) else ""
    return MachineState(
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        node=status.get("nodeName") or (status.get("nodeRef") or {}).get("name", ""),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        leaving=bool(meta.get("deletionTimestamp")),
        mark=(meta.get("annotations") or {}).get(DELETE_FIRST, ""),
        refused=refused,
        resource_version=meta.get("resourceVersion", ""),
    )


def mark_machine(
    cluster_id: str, machine: MachineState, mark: str | None, *, dry_run: bool
) -> None:
    """Make a Machine the first to go when its deployment shrinks; None takes the mark off.

    Raises:
        ObjectConflict: it changed since it was read; nothing was written.
    """
    metadata = {
        "resourceVersion": machine.resource_version,
        "annotations": {DELETE_FIRST: mark},
    }
    call = MACHINE.verb(cluster_id, "patch")
    what = f"patch {MACHINE.words(machine.namespace, machine.name)}"
    place = MACHINE.place(machine.namespace)
    body = {"metadata": metadata}
    write(cluster_id, what, call, dry_run, kind=MERGE_PATCH, name=machine.name, body=body, **place)
