"""Cluster API: a MachineDeployment keeps `spec.replicas` Machines, each of which becomes a Node.

On the way down Machines annotated `cluster.x-k8s.io/delete-machine` go first, then those that are
no node yet, then by `spec.deletion.order`; each drains its node within budgets before it goes.

Limits: no MachineSets in between, so a changed template is for new Machines only; `Random` takes
the newest.
"""

from datetime import datetime, timedelta

import numpy as np

from tiers.twin.controllers import events, machines, pods
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.controllers.machines import INSUFFICIENT
from tiers.twin.controllers.pods import status_of
from tiers.twin.kube.resources import MACHINE_DEPLOYMENTS, MACHINES, NODES, Obj
from tiers.twin.kube.selectors import selector_text
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time

NAME_KEY = "cluster.x-k8s.io/deployment-name"
DELETE_KEY = "cluster.x-k8s.io/delete-machine"
MACHINE_KEY = "cluster.x-k8s.io/machine"
FINALIZER = "machine.cluster.x-k8s.io"
LABELS_KEY = "capacity.cluster-autoscaler.kubernetes.io/labels"
TAINTS_KEY = "capacity.cluster-autoscaler.kubernetes.io/taints"
BY = "machine-controller"


def tick(
    store: ClusterStore, now: datetime, rng: np.random.Generator, config: ControllerConfig
) -> None:
    for machine in store.all(MACHINES):
        _advance(store, machine, now, rng, config)
    for deployment in store.all(MACHINE_DEPLOYMENTS):
        _keep_count(store, deployment, now, rng)
        _report(store, deployment, now)


def adopt(store: ClusterStore, deployment: Obj, node: str, now: datetime) -> Obj:
    """Put an existing node under a MachineDeployment, as if it had made it."""
    machine = store.create(MACHINES, _machine(deployment, node), now)
    return _running(store, machine, node, now)


def machines_of(store: ClusterStore, deployment: Obj) -> list[Obj]:
    return store.owned_by(deployment["metadata"]["uid"], MACHINES)


def node_of(machine: Obj) -> str:
    return str((status_of(machine).get("nodeRef") or {}).get("name", ""))


def _machine(deployment: Obj, name: str) -> Obj:
    metadata, template = deployment["metadata"], deployment["spec"].get("template") or {}
    labels = dict((template.get("metadata") or {}).get("labels") or {})
    owner = pods.owner_reference(
        deployment, api_version="cluster.x-k8s.io/v1beta2", kind="MachineDeployment"
    )
    return {
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": labels | {NAME_KEY: metadata["name"]},
            "finalizers": [FINALIZER],
            "ownerReferences": [owner],
        },
        "spec": dict(template.get("spec") or {}),
        "status": {"phase": "Provisioning"},
    }


def _put(store: ClusterStore, machine: Obj, status: Obj) -> Obj:
    return store.put(MACHINES, {**machine, "status": status})


def _owner(store: ClusterStore, machine: Obj) -> Obj | None:
    metadata = machine["metadata"]
    return store.find(MACHINE_DEPLOYMENTS, metadata["namespace"], metadata["labels"][NAME_KEY])


def _advance(
    store: ClusterStore, machine: Obj, now: datetime, rng: np.random.Generator,
    config: ControllerConfig,
) -> None:  # fmt: skip
    deployment = _owner(store, machine)
    if deployment is None:
        machines.mark_leaving(store, MACHINES, machine, now)
    if machine["metadata"].get("deletionTimestamp"):
        _terminate(store, machine, now)
    elif deployment is not None and not node_of(machine):
        _provision(store, machine, deployment, now, rng, config)


def _provision(
    store: ClusterStore, machine: Obj, deployment: Obj, now: datetime, rng: np.random.Generator,
    config: ControllerConfig,
) -> None:  # fmt: skip
    """Ask the cloud, again after a refusal, and make the node when the machine has started."""
    found = pods.condition(machine, "InfrastructureReady")
    since = parse_time(found["lastTransitionTime"]) if found else None
    if found is None or found["status"] == "False":
        wait_s = config.launch_s if found is None else config.capacity_retry_s
        age = machines.age(machine, now) if since is None else now - since
        if age >= timedelta(seconds=config.shortened(wait_s)):
            _ask(store, machine, deployment, now, rng)
    elif since and now - since >= timedelta(seconds=config.shortened(config.provision_s)):
        _join(store, machine, deployment, now)


def _ask(
    store: ClusterStore, machine: Obj, deployment: Obj, now: datetime, rng: np.random.Generator
) -> None:
    if machines.has_capacity(deployment, now, rng):
        words = ("True", "Ready", "")
    else:
        words = ("False", INSUFFICIENT, "the cloud has no such machine at the moment")
        for about in (machine, deployment):
            events.record(store, about, INSUFFICIENT, words[2], now, by=BY, warning=True)
    value, reason, message = words
    others = [c for c in status_of(machine).get("conditions") or ()
              if c["type"] != "InfrastructureReady"]  # fmt: skip
    status = status_of(machine) | {"conditions": others}  # a new attempt has a new time
    _put(store, machine, pods.with_condition(
        status, "InfrastructureReady", value, now, reason=reason, message=message))  # fmt: skip


def _join(store: ClusterStore, machine: Obj, deployment: Obj, now: datetime) -> None:
    name = machine["metadata"]["name"]
    notes = deployment["metadata"].get("annotations") or {}
    labels = dict(part.split("=", 1) for part in notes.get(LABELS_KEY, "").split(",") if part)
    taints = [_taint(part) for part in notes.get(TAINTS_KEY, "").split(",") if part]
    store.create(NODES, machines.node_body(name, machine["metadata"]["labels"] | labels, taints,
                                           now), now)  # fmt: skip
    _running(store, machine, name, now)


def _taint(text: str) -> Obj:
    """`key=value:effect`, as the cluster autoscaler reads it."""
    rest, effect = text.rsplit(":", 1)
    key, _, value = rest.partition("=")
    return {"key": key, "value": value, "effect": effect}


def _running(store: ClusterStore, machine: Obj, name: str, now: datetime) -> Obj:
    node = store.get(NODES, "", name)
    notes = (node["metadata"].get("annotations") or {}) | {
        MACHINE_KEY: machine["metadata"]["name"],
        "cluster.x-k8s.io/cluster-namespace": machine["metadata"]["namespace"],
    }
    store.put(NODES, {**node, "metadata": node["metadata"] | {"annotations": notes}})
    status = status_of(machine) | {"phase": "Running", "nodeRef": {"name": name}}
    for kind in ("InfrastructureReady", "NodeReady", "Ready"):
        status = pods.with_condition(status, kind, "True", now, reason="Ready", message="")
    return _put(store, machine, status)


def _terminate(store: ClusterStore, machine: Obj, now: datetime) -> None:
    metadata, name = machine["metadata"], node_of(machine)
    node = store.find(NODES, "", name) if name else None
    if node is not None:
        if not node["spec"].get("unschedulable"):
            store.put(NODES, {**node, "spec": node["spec"] | {"unschedulable": True}})
        _put(store, machine, status_of(machine) | {"phase": "Deleting"})
        if not machines.drain(store, name, now):
            return
        machines.forget(store, name)
    store.remove(MACHINES, metadata["namespace"], metadata["name"])


def _keep_count(
    store: ClusterStore, deployment: Obj, now: datetime, rng: np.random.Generator
) -> None:
    held = machines_of(store, deployment)
    staying = [m for m in held if not m["metadata"].get("deletionTimestamp")]
    wanted = int(deployment["spec"].get("replicas", 1))
    for _ in range(wanted - len(staying)):
        name = f"{deployment['metadata']['name']}-{pods.suffix(rng)}"
        store.create(MACHINES, _machine(deployment, name), now)
    if len(staying) > wanted:
        for machine in _first_to_go(deployment, staying)[: len(staying) - wanted]:
            machines.mark_leaving(store, MACHINES, machine, now)
            said = f"Deleted Machine {machine['metadata']['name']}"
            events.record(store, deployment, "SuccessfulDelete", said, now, by=BY)


def _first_to_go(deployment: Obj, staying: list[Obj]) -> list[Obj]:
    order = (deployment["spec"].get("deletion") or {}).get("order", "Random")
    aged = sorted(staying, key=lambda m: m["metadata"]["creationTimestamp"],
                  reverse=order != "Oldest")  # fmt: skip

    def place(machine: Obj) -> tuple[bool, bool]:
        named = DELETE_KEY in (machine["metadata"].get("annotations") or {})
        return not named, bool(node_of(machine))

    return sorted(aged, key=place)


def _report(store: ClusterStore, deployment: Obj, now: datetime) -> None:
    held = machines_of(store, deployment)
    ready = sum(1 for m in held if status_of(m).get("phase") == "Running")
    wanted = int(deployment["spec"].get("replicas", 1))
    more, less = len(held) < wanted or ready < wanted, len(held) > wanted
    phase = "ScalingDown" if less else "ScalingUp" if more else "Running"
    status = status_of(deployment) | {
        "phase": phase,
        "replicas": len(held),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "upToDateReplicas": len(held),
        "selector": selector_text(deployment["spec"].get("selector") or {}),
        "observedGeneration": deployment["metadata"]["generation"],
    }
    enough = ready >= wanted
    status = pods.with_condition(
        status, "Available", str(enough), now, reason="Available" if enough else "NotAvailable"
    )
    metadata = deployment["metadata"]
    fresh = store.get(MACHINE_DEPLOYMENTS, metadata["namespace"], metadata["name"])
    store.put(MACHINE_DEPLOYMENTS, {**fresh, "status": status})
