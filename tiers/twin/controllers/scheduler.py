"""Binds pending pods to nodes: selectors, taints, readiness, GPUs; gangs whole or not at all.

Best fit: the feasible node with the fewest GPUs left over takes the pod, so that whole nodes stay
free for what needs them. Pods are taken oldest first, and one that does not fit stops nobody.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tiers.twin.controllers import pods
from tiers.twin.controllers.config import GANG_SIZE_KEY
from tiers.twin.kube.resources import NODES, PODS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import GPU_RESOURCE, JOB_NAME_KEY


@dataclass
class Room:
    """A node and the GPUs still free on it in this pass."""

    node: Obj
    free_gpus: int

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])


def tick(store: ClusterStore, now: datetime) -> None:
    """Place what fits; mark the rest Unschedulable with the reasons, as kube-scheduler does."""
    units = _units(store)
    if not units:
        return
    rooms = [Room(node, _free_gpus(store, node)) for node in store.all(NODES)]
    for unit in units:
        if not _place(store, unit, rooms, now):
            for pod in unit:
                _refuse(store, pod, rooms, now)


def _free_gpus(store: ClusterStore, node: Obj) -> int:
    held = store.pods_on(node["metadata"]["name"])
    used = sum(pods.requested_gpus(pod) for pod in held if not pods.is_over(pod))
    return int(node["status"].get("allocatable", {}).get(GPU_RESOURCE, 0)) - used


def _waits(pod: Obj) -> bool:
    bound = pod["spec"].get("nodeName")
    return not bound and not pods.is_leaving(pod) and not pods.is_over(pod)


def _units(store: ClusterStore) -> list[list[Obj]]:
    """What is placed together, oldest first: single pods, and gangs of which all wait."""
    gangs: dict[tuple[str, str], list[Obj]] = {}
    singles: list[list[Obj]] = []
    for pod in store.all(PODS):
        if not _waits(pod):
            continue
        if _gang_size(pod):
            job = (pod["metadata"].get("labels") or {}).get(JOB_NAME_KEY, "")
            gangs.setdefault((pod["metadata"]["namespace"], job), []).append(pod)
        else:
            singles.append([pod])
    whole = [members for members in gangs.values() if len(members) >= _gang_size(members[0])]
    return sorted([*singles, *whole], key=_queued_at)


def _gang_size(pod: Obj) -> int:
    return int((pod["metadata"].get("annotations") or {}).get(GANG_SIZE_KEY, 0))


def _queued_at(unit: list[Obj]) -> tuple[str, int]:
    stamps = [pod["metadata"]["creationTimestamp"] for pod in unit]
    return max(stamps), -sum(pods.requested_gpus(pod) for pod in unit)


def _place(store: ClusterStore, unit: list[Obj], rooms: list[Room], now: datetime) -> bool:
    """Bind every pod of the unit, or none. True when bound."""
    chosen: list[tuple[Obj, Room]] = []
    for pod in unit:
        gpus = pods.requested_gpus(pod)
        fitting = [r for r in rooms if not obstacle(pod, r.node) and r.free_gpus >= gpus]
        if not fitting:
            for placed, room in chosen:
                room.free_gpus += pods.requested_gpus(placed)
            return False
        room = min(fitting, key=lambda r: (r.free_gpus, r.name))
        room.free_gpus -= gpus
        chosen.append((pod, room))
    for pod, room in chosen:
        spec = {**pod["spec"], "nodeName": room.name}
        status = pods.with_condition(pod["status"], "PodScheduled", "True", now)
        store.put(PODS, {**pod, "spec": spec, "status": status})
    return True


def obstacle(pod: Obj, node: Obj) -> str:
    """Why a node cannot take a pod, whatever room it has; empty when it can."""
    labels = node["metadata"].get("labels") or {}
    selector = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return "node(s) didn't match Pod's node affinity/selector"
    if node["spec"].get("unschedulable"):
        return "node(s) were unschedulable"
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not _tolerated(pod, taint):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not pods.is_ready(node):
        return "node(s) were not ready"
    return ""


def _tolerated(pod: Obj, taint: Obj) -> bool:
    for toleration in pod["spec"].get("tolerations") or ():
        if toleration.get("effect", taint["effect"]) != taint["effect"]:
            continue
        if toleration.get("operator", "Equal") == "Exists":
            if toleration.get("key", taint["key"]) == taint["key"]:
                return True
        elif (toleration.get("key"), toleration.get("value", "")) == (
            taint["key"],
            taint.get("value", ""),
        ):
            return True
    return False


def _refuse(store: ClusterStore, pod: Obj, rooms: Iterable[Room], now: datetime) -> None:
    reasons = Counter(obstacle(pod, r.node) or f"Insufficient {GPU_RESOURCE}" for r in rooms)
    listed = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()))
    message = f"0/{sum(reasons.values())} nodes are available: {listed}."
    status = pods.with_condition(
        pod["status"], "PodScheduled", "False", now, reason="Unschedulable", message=message
    )
    pods.put_status(store, pod, status)
