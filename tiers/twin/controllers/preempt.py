"""Makes lower priorities leave so that a pod, or a whole gang, finds room.

Of the rooms that would do, the one is taken whose victims break the fewest budgets, rank lowest
and hold the fewest GPUs. The pods stay pending, nominated for their rooms, until the victims are
gone; meanwhile nobody else is asked to leave for them. Budgets are respected where possible.
"""

from dataclasses import dataclass, field
from datetime import datetime

from tiers.twin.controllers import amounts, events, fit, pods, priority, topology
from tiers.twin.controllers.amounts import Amounts
from tiers.twin.controllers.rooms import Room
from tiers.twin.kube.eviction import budgets_of
from tiers.twin.kube.resources import PODS, PRIORITY_CLASSES, Obj
from tiers.twin.kube.store import ClusterStore

BY = "default-scheduler"


@dataclass
class Try:
    """Victims and nominations found so far, without anything being done yet."""

    victims: list[Obj] = field(default_factory=list)
    nominated: list[tuple[Obj, Room]] = field(default_factory=list)
    free: dict[str, Amounts] = field(default_factory=dict)


def make_room(store: ClusterStore, unit: list[Obj], here: list[Room], now: datetime) -> None:
    """Ask the fewest and lowest to leave, where that would let the whole unit in."""
    lower = _outranked(store, unit[0], here)
    if _already_asked(unit, lower):
        return
    tries = _tries(store, unit, here, lower) if any(lower.values()) else []
    if tries:
        _carry_out(store, min(tries, key=lambda t: len(t.victims)), now)
    else:
        _give_up(store, unit)


def _outranked(store: ClusterStore, pod: Obj, here: list[Room]) -> dict[str, list[Obj]]:
    """Whom a pod may make leave, by node."""
    if "priority" not in pod["spec"] and not store.all(PRIORITY_CLASSES):
        return {}
    rank = priority.of_pod(store, pod)
    if not priority.may_preempt(store, pod):
        return {}
    return {room.name: [p for p in room.pods if priority.of_pod(store, p) < rank] for room in here}


def _tries(
    store: ClusterStore, unit: list[Obj], here: list[Room], lower: dict[str, list[Obj]]
) -> list[Try]:
    """Ways that help; where nobody need leave, it is not for want of room that the unit waits."""
    key = topology.required(unit[0])
    among = topology.blocks(key, here) if key else [here]
    found = [_simulate(store, unit, block, lower) for block in among]
    return [one for one in found if one and one.victims]


def _give_up(store: ClusterStore, unit: list[Obj]) -> None:
    """What was hoped for is not coming: a node autoscaler may see to the pods."""
    for waiting in unit:
        if "nominatedNodeName" in waiting["status"]:
            pods.put_status(
                store,
                waiting,
                {k: v for k, v in waiting["status"].items() if k != "nominatedNodeName"},
            )


def _already_asked(unit: list[Obj], lower: dict[str, list[Obj]]) -> bool:
    """Whether victims of an earlier round are still on their way out."""
    nominated = {pod["status"].get("nominatedNodeName", "") for pod in unit}
    return any(pods.is_leaving(p) for name in nominated for p in lower.get(name, ()))


def _simulate(
    store: ClusterStore, unit: list[Obj], among: list[Room], lower: dict[str, list[Obj]]
) -> Try | None:
    found = Try(free={room.name: dict(room.free) for room in among})
    for pod in unit:
        suiting = [room for room in among if not fit.obstacle(pod, room.node)]
        asked = [(room, _victims(store, pod, room, lower[room.name], found)) for room in suiting]
        options = [(room, victims) for room, victims in asked if victims is not None]
        if not options:
            return None
        room, victims = min(options, key=lambda option: _cost(store, *option))
        found.victims += victims
        found.nominated.append((pod, room))
        amounts.take(found.free[room.name], amounts.requested(pod))
        for victim in victims:
            amounts.take(found.free[room.name], amounts.requested(victim), -1)
    return found


def _victims(
    store: ClusterStore, pod: Obj, room: Room, lower: list[Obj], so_far: Try
) -> list[Obj] | None:
    """The fewest pods of a room that must leave for this one; None when all would not do."""
    free, asked = dict(so_far.free[room.name]), amounts.requested(pod)
    chosen: list[Obj] = []
    left = [p for p in lower if p not in so_far.victims]
    left.sort(key=lambda p: (_breaks_budget(store, p), priority.of_pod(store, p),
                             -pods.requested_gpus(p)))  # fmt: skip
    for victim in left:
        short, held = amounts.lacking(asked, free), amounts.requested(victim)
        if short.keys() & held.keys():
            chosen.append(victim)
            amounts.take(free, held, -1)
    return None if amounts.lacking(asked, free) else chosen


def _breaks_budget(store: ClusterStore, pod: Obj) -> bool:
    budgets = budgets_of(store, pod)
    return any(b["status"].get("disruptionsAllowed", 0) <= 0 for b in budgets)


def _cost(store: ClusterStore, room: Room, victims: list[Obj]) -> tuple[int, int, int, int, str]:
    return (
        sum(_breaks_budget(store, v) for v in victims),
        max((priority.of_pod(store, v) for v in victims), default=-(2**31)),
        sum(pods.requested_gpus(v) for v in victims),
        room.free_gpus,
        room.name,
    )


def _carry_out(store: ClusterStore, found: Try, now: datetime) -> None:
    first = found.nominated[0][0]["metadata"]
    for victim in found.victims:
        if pods.is_leaving(victim):
            continue
        said = f"Preempted by pod {first['uid']} on node {victim['spec']['nodeName']}"
        status = pods.with_condition(
            victim["status"], "DisruptionTarget", "True", now,
            reason="PreemptionByScheduler",
            message=f"{BY}: preempting to accommodate a higher priority pod",
        )  # fmt: skip
        pods.remove(store, pods.put_status(store, victim, status), now)
        events.record(store, victim, "Preempted", said, now, by=BY)
    for pod, room in found.nominated:
        held = store.get(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        pods.put_status(store, held, held["status"] | {"nominatedNodeName": room.name})
