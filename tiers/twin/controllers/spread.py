"""Pods that want or shun each other's company, and pods that must be spread evenly.

Required pod affinity and anti-affinity (of those already there too) and topology spread, over any
node label. Limits: `namespaceSelector` is read as every namespace, `minDomains` is not read.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from tiers.twin.controllers import fit
from tiers.twin.controllers.rooms import Room
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.selectors import selects

Rule = Callable[[Room], str]
"""Why a room is refused; empty when it is not."""
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def rules(pod: Obj, rooms: list[Room]) -> list[Rule]:
    """What a pod, and those already placed, ask of the room it gets now."""
    made = [_together(pod, term, rooms) for term in _terms(pod, "podAffinity")]
    made += [_apart(pod, term, rooms) for term in _terms(pod, "podAntiAffinity")]
    made += [_even(pod, c, rooms) for c in _constraints(pod, "DoNotSchedule")]
    shunned = _shunned(pod, rooms)
    return [*made, _not_shunned(shunned)] if shunned else made


def crowding(pod: Obj, rooms: list[Room]) -> Callable[[Room], int]:
    """How many of its like a room's domains hold, by the constraints that only wish."""
    counts = [
        (c["topologyKey"], _counts(pod, c.get("labelSelector"), c["topologyKey"], rooms))
        for c in _constraints(pod, "ScheduleAnyway")
    ]
    return lambda room: sum(found[room.label(key)] for key, found in counts)


def _terms(pod: Obj, kind: str) -> list[Obj]:
    return list(((pod["spec"].get("affinity") or {}).get(kind) or {}).get(_REQUIRED) or ())


def _constraints(pod: Obj, action: str) -> Iterator[Obj]:
    for constraint in pod["spec"].get("topologySpreadConstraints") or ():
        if constraint.get("whenUnsatisfiable", "DoNotSchedule") == action:
            yield constraint


def _labels(pod: Obj) -> Obj:
    return pod["metadata"].get("labels") or {}


def _meant(term: Obj, owner: Obj, other: Obj) -> bool:
    """Whether a term of `owner` speaks of `other`."""
    namespace = other["metadata"].get("namespace")
    named = term.get("namespaces") or [owner["metadata"].get("namespace")]
    here = "namespaceSelector" in term or namespace in named
    return here and selects(term.get("labelSelector"), _labels(other))


def _domains(pod: Obj, term: Obj, rooms: list[Room]) -> set[str | None]:
    key = term["topologyKey"]
    return {r.label(key) for r in rooms if any(_meant(term, pod, p) for p in r.pods)}


def _together(pod: Obj, term: Obj, rooms: list[Room]) -> Rule:
    key, domains = term["topologyKey"], _domains(pod, term, rooms)
    first = not domains and _meant(term, pod, pod)

    def rule(room: Room) -> str:
        held = room.label(key)
        fits = held is not None and (first or held in domains)
        return "" if fits else "node(s) didn't match pod affinity rules"

    return rule


def _apart(pod: Obj, term: Obj, rooms: list[Room]) -> Rule:
    key, domains = term["topologyKey"], _domains(pod, term, rooms)

    def rule(room: Room) -> str:
        held = room.label(key)
        clash = held is not None and held in domains
        return "node(s) didn't match pod anti-affinity rules" if clash else ""

    return rule


def _shunned(pod: Obj, rooms: list[Room]) -> set[tuple[str, str | None]]:
    """Domains where a pod already there wants none like this one."""
    return {
        (term["topologyKey"], room.label(term["topologyKey"]))
        for room in rooms
        for other in room.pods
        if "affinity" in other["spec"]
        for term in _terms(other, "podAntiAffinity")
        if _meant(term, other, pod)
    }


def _not_shunned(shunned: set[tuple[str, str | None]]) -> Rule:
    def rule(room: Room) -> str:
        clash = any(room.label(key) == value for key, value in shunned if value is not None)
        return "node(s) didn't satisfy existing pods anti-affinity rules" if clash else ""

    return rule


def _counts(pod: Obj, selector: Obj | None, key: str, rooms: list[Room]) -> Counter[str | None]:
    """Pods that a selector names, by domain; domains without any count 0."""
    namespace = pod["metadata"].get("namespace")
    found: Counter[str | None] = Counter()
    for room in rooms:
        if room.label(key) is not None and fit.is_selected(pod, room.node):
            found[room.label(key)] += sum(
                1
                for other in room.pods
                if other["metadata"].get("namespace") == namespace
                and selects(selector, _labels(other))
            )
    return found


def _even(pod: Obj, constraint: Obj, rooms: list[Room]) -> Rule:
    key, selector = constraint["topologyKey"], constraint.get("labelSelector")
    counts, most = _counts(pod, selector, key, rooms), int(constraint["maxSkew"])
    least, self_counts = min(counts.values(), default=0), int(selects(selector, _labels(pod)))

    def rule(room: Room) -> str:
        held = room.label(key)
        fits = held is not None and counts[held] + self_counts - least <= most
        return "" if fits else "node(s) didn't match pod topology spread constraints"

    return rule
