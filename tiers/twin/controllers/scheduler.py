"""Binds pending pods to nodes: what suits, what has room; gangs whole or not at all.

Best fit: the feasible node with the fewest GPUs left over takes the pod, so that whole nodes stay
free for what needs them. Pods are taken by priority and age, and one that does not fit stops
nobody; when it outranks others it makes them leave (`preempt`).
"""

from collections import Counter
from datetime import datetime

from tiers.twin.controllers import claims, events, fit, pods, preempt, priority, spread, topology
from tiers.twin.controllers.config import GANG_SIZE_KEY
from tiers.twin.controllers.rooms import Room, rooms
from tiers.twin.kube.resources import PODS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import GPU_RESOURCE, JOB_NAME_KEY

BY = "default-scheduler"
Unit = list[Obj]
Chosen = list[tuple[Obj, Room]]


def tick(store: ClusterStore, now: datetime) -> None:
    """Place what fits; mark the rest Unschedulable with the reasons, as kube-scheduler does."""
    units = _units(store, now)
    if not units:
        return
    here = rooms(store)
    for unit in units:
        if chosen := _choose(store, unit, here):
            _bind(store, chosen, now)
        else:
            preempt.make_room(store, unit, here, now)
            _refuse(store, unit, here, now)
            _keep_for(store, unit, here)


def _keep_for(store: ClusterStore, unit: Unit, here: list[Room]) -> None:
    """Nobody who comes later in the order may take a room that was made for somebody."""
    by_name = {room.name: room for room in here}
    for waiting in unit:
        pod = store.find(PODS, waiting["metadata"]["namespace"], waiting["metadata"]["name"])
        room = by_name.get((pod or {"status": {}})["status"].get("nominatedNodeName", ""))
        if pod is not None and room is not None:
            room.take(pod)


def _waits(pod: Obj) -> bool:
    spec = pod["spec"]
    held_back = spec.get("nodeName") or spec.get("schedulingGates")
    return not held_back and not pods.is_leaving(pod) and not pods.is_over(pod)


def _say_gated(store: ClusterStore, pod: Obj, now: datetime) -> None:
    said = "Scheduling is blocked due to non-empty scheduling gates"
    pods.put_status(store, pod, pods.with_condition(
        pod["status"], "PodScheduled", "False", now, reason="SchedulingGated", message=said,
    ))  # fmt: skip


def _units(store: ClusterStore, now: datetime) -> list[Unit]:
    """What is placed together, in order: single pods, and gangs of which all wait."""
    gangs: dict[tuple[str, str], Unit] = {}
    singles: list[Unit] = []
    for pod in store.all(PODS):
        if not _waits(pod):
            if pod["spec"].get("schedulingGates"):
                _say_gated(store, pod, now)
            continue
        if _gang_size(pod):
            job = (pod["metadata"].get("labels") or {}).get(JOB_NAME_KEY, "")
            gangs.setdefault((pod["metadata"]["namespace"], job), []).append(pod)
        else:
            singles.append([pod])
    whole = [members for members in gangs.values() if len(members) >= _gang_size(members[0])]
    return sorted([*singles, *whole], key=lambda unit: _order(store, unit))


def _gang_size(pod: Obj) -> int:
    return int((pod["metadata"].get("annotations") or {}).get(GANG_SIZE_KEY, 0))


def _order(store: ClusterStore, unit: Unit) -> tuple[int, str, int]:
    """Highest priority, then longest waiting, then biggest."""
    stamps = [pod["metadata"]["creationTimestamp"] for pod in unit]
    size = sum(pods.requested_gpus(pod) for pod in unit)
    return -priority.of_pod(store, unit[0]), max(stamps), -size


def _choose(store: ClusterStore, unit: Unit, here: list[Room]) -> Chosen:
    """A room for every pod of the unit, within one block where it must be; or nothing."""
    if key := topology.required(unit[0]):
        return _in_one_block(store, unit, key, here)
    key = topology.preferred(unit[0])
    return (key and _in_one_block(store, unit, key, here)) or _place(store, unit, here, here)


def _in_one_block(store: ClusterStore, unit: Unit, key: str, here: list[Room]) -> Chosen:
    for block in topology.blocks(key, here):
        if chosen := _place(store, unit, block, here):
            return chosen
    return []


def _place(store: ClusterStore, unit: Unit, among: list[Room], here: list[Room]) -> Chosen:
    """Take a room for each pod in turn; give all back when one finds none."""
    chosen: Chosen = []
    if len(unit) > 1 and topology.places(unit[0], among) < len(unit):
        return []  # members of a gang are alike: no need to try
    spec, suiting = None, among
    for pod in unit:
        if spec is None or pod["spec"] != spec:  # members of a gang suit the same nodes
            spec, suiting = pod["spec"], [r for r in among if not _unfit(store, pod, r)]
        room = _best(pod, suiting, here)
        if room is None:
            for placed, taken in chosen:
                taken.give_back(placed)
            return []
        room.take(pod)
        chosen.append((pod, room))
    return chosen


def _best(pod: Obj, suiting: list[Room], here: list[Room]) -> Room | None:
    rules = spread.rules(pod, here)
    fitting = [room for room in suiting if room.has_room(pod) and not any(r(room) for r in rules)]
    crowded = spread.crowding(pod, here)
    return min(
        fitting,
        key=lambda r: (crowded(r) + fit.dislike(pod, r.node), r.left_by(pod), r.name),
        default=None,
    )


def _bind(store: ClusterStore, chosen: Chosen, now: datetime) -> None:
    for pod, room in chosen:
        spec = {**pod["spec"], "nodeName": room.name}
        status = {k: v for k, v in pod["status"].items() if k != "nominatedNodeName"}
        status = pods.with_condition(status, "PodScheduled", "True", now)
        store.put(PODS, {**pod, "spec": spec, "status": status})
        claims.allocate(store, pod, room.name)
        metadata = pod["metadata"]
        where = f"{metadata['namespace']}/{metadata['name']} to {room.name}"
        events.record(store, pod, "Scheduled", f"Successfully assigned {where}", now, by=BY)


def _refuse(store: ClusterStore, unit: Unit, here: list[Room], now: datetime) -> None:
    message = _reasons(store, unit, here)
    for waiting in unit:
        pod = store.find(PODS, waiting["metadata"]["namespace"], waiting["metadata"]["name"])
        if pod is None:
            continue
        status = pods.with_condition(
            pod["status"], "PodScheduled", "False", now, reason="Unschedulable", message=message
        )
        if pods.put_status(store, pod, status) is not pod:
            events.record(store, pod, "FailedScheduling", message, now, by=BY, warning=True)


def _reasons(store: ClusterStore, unit: Unit, here: list[Room]) -> str:
    if not here:
        return "no nodes available to schedule pods"
    total = f"0/{len(here)} nodes are available"
    if topology.required(unit[0]):
        short = topology.shortage_among(here, unit[0], len(unit))
        if short:
            return f"{total}: {short}."
    rules = spread.rules(unit[0], here)
    counted = Counter(why for room in here for why in _obstacles(store, unit[0], room, rules))
    listed = ", ".join(sorted(f"{count} {why}" for why, count in counted.items()))
    return f"{total}: {listed}."


def _unfit(store: ClusterStore, pod: Obj, room: Room) -> str:
    return fit.obstacle(pod, room.node) or claims.obstacle(store, pod, room.name)


def _obstacles(store: ClusterStore, pod: Obj, room: Room, rules: list[spread.Rule]) -> list[str]:
    """Why a node is refused: what does not suit, else all that it lacks, else its company.

    Members of a gang fit one by one where the whole gang does not: then room for one is lacking.
    """
    if unfit := _unfit(store, pod, room):
        return [unfit]
    company = next(filter(None, (rule(room) for rule in rules)), "")
    return room.lacks(pod) or [company or f"Insufficient {GPU_RESOURCE}"]
