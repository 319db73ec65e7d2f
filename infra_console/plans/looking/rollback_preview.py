"""What a rollback would do, before it starts: its steps beside what the cluster says now.

From recorded priors and fresh reads, node by node in the order of the way back, so that a floor is
judged as it will stand then. Reading changes nothing; each step reads again before it writes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from infra_console.cluster.errors import ClusterError, ObjectMissing
from infra_console.cluster.objects import NodeState
from infra_console.cluster.reads import list_nodes, list_pods, read_deployment
from infra_console.fleet.queries import tier_key
from infra_console.plans.holding.guards import GuardRail, foreign_taint
from infra_console.plans.looking.rollback_kueue import KUEUE_BACK, recorded_back
from infra_console.plans.marks import held_by
from infra_console.plans.models import Plan, Step
from infra_console.plans.spec import ObjectRef
from infra_console.plans.states import PlanState
from infra_console.plans.steps.looks import Looks
from infra_console.plans.steps.registry import step_kind
from infra_console.plans.steps.taints import has_tier
from infra_console.plans.taking_back.compensation import way_back
from infra_console.plans.taking_back.rollback import refusal

PAUSES = "the way back would pause"


@dataclass(frozen=True, slots=True)
class ObjectBack:
    """One object: its steps, what stands there now and would then, who leaves (None: nobody here
    can tell), what stops it."""

    cluster: str
    kind: str
    name: str
    steps: tuple[str, ...]
    now: str
    then: str
    evicts: tuple[str, ...] | None = ()
    stops: tuple[str, ...] = ()


def objects_back(plan: Plan) -> list[ObjectBack]:
    """Every object that a rollback would touch, in the order in which it would; none if refused."""
    if refusal(plan):
        return []
    steps = way_back(plan, held=plan.state == PlanState.PAUSED)
    rooms = {cluster: _Room(plan, cluster, tier_key()) for cluster in {s.cluster for s in steps}}
    return [rooms[of[0].cluster].look(of) for of in _by_object(steps)]


def _by_object(steps: Iterable[Step]) -> list[list[Step]]:
    """Steps gathered by object, objects in order of their first step."""
    ordered = sorted(steps, key=lambda s: s.wave)
    first: dict[str, int] = {}
    for place, step in enumerate(ordered):
        first.setdefault(_address(step), place)
    rows = sorted(ordered, key=lambda s: first[_address(s)])
    return [list(group) for _, group in groupby(rows, key=_address)]


def _address(step: Step) -> str:
    return "/".join(step.target[part] for part in ("cluster", "kind", "namespace", "name"))


class _Room:
    """One cluster as it stands, and as it would after the objects looked at so far."""

    def __init__(self, plan: Plan, cluster: str, key: str) -> None:
        self._plan, self._cluster, self._tier_key = plan, cluster, key
        self._nodes: dict[str, NodeState] | None = None

    def look(self, steps: Sequence[Step]) -> ObjectBack:
        kind = steps[0].target["kind"]
        try:
            if kind in KUEUE_BACK:
                return _back(steps, **KUEUE_BACK[kind](steps))
            looked = step_kind(steps[0].kind)
            if isinstance(looked, Looks):
                return _looked(looked, steps)
            return self._node(steps) if kind == "Node" else self._deployment(steps)
        except ObjectMissing:
            return _back(steps, now="gone", then="", stops=(f"it is gone: {PAUSES}",))
        except ClusterError as err:
            words = f"unknown from here ({err}); each step reads it before it writes"
            return _back(steps, now=words, then=_recorded(steps), evicts=None)

    def _read(self) -> dict[str, NodeState]:
        if self._nodes is None:
            self._nodes = {n.name: n for n in list_nodes(self._cluster)}
        return self._nodes

    def _node(self, steps: Sequence[Step]) -> ObjectBack:
        node = self._read().get(steps[0].target["name"])
        if node is None:
            raise ObjectMissing(self._cluster, f"node {steps[0].target['name']}")
        restore = next((s for s in steps if s.kind == "node.restore_tier"), None)
        if restore is None:
            return _back(steps, now=_closed(node), then="open to new pods")
        key, prior = restore.params["key"], restore.params["prior"]
        held = node.labels.get(key)
        now, then = f"{key}={held}, {_closed(node)}", f"{key}={prior['label']}, open to new pods"
        if held == prior["label"]:
            return _back(steps, now=now, then=then)
        if foreign := self._foreign(node, restore):
            return _back(steps, now=now, then=then, stops=(f"{foreign}: {PAUSES}",))
        pods = list_pods(self._cluster, node=node.name)
        evicts = tuple(f"{p.namespace}/{p.name}" for p in pods if not p.stays_on_drain)
        floor = self._guards().broken_by(node)
        self._read()[node.name] = replace(
            node, labels={**node.labels, key: prior["label"]}, unschedulable=False
        )
        stops = (f"floor: {floor}: {PAUSES}",) if floor else ()
        return _back(steps, now=now, then=then, evicts=evicts, stops=stops)

    def _foreign(self, node: NodeState, restore: Step) -> str:
        """What somebody else did to a node since; empty when nothing."""
        key, ours = restore.params["key"], restore.params["from"]
        if not has_tier(node, key, ours):
            return f"{key} or its taint is no longer {ours}, set by somebody else"
        if node.unschedulable and held_by(node) != str(self._plan.id):
            return "closed by somebody else"
        if taint := foreign_taint(node, tier_key=self._tier_key):
            return f"tainted by somebody else ({taint})"
        return ""

    def _deployment(self, steps: Sequence[Step]) -> ObjectBack:
        step = steps[0]
        held = read_deployment(self._cluster, step.target["namespace"], step.target["name"])
        to, floor = step.params["to"], step.params.get("floor")
        stops = []
        if held.replicas not in (to, step.params["from"]):
            stops.append(f"replicas were set by somebody else: {PAUSES}")
        elif floor is not None and to < min(floor, held.replicas):
            stops.append(f"floor: {to} replicas are below its floor of {floor}")
        now, then = f"{held.replicas} replicas", f"{to} replicas"
        return _back(steps, now=now, then=then, stops=tuple(stops))

    def _guards(self) -> GuardRail:
        return GuardRail(
            self._cluster,
            tier_key=self._tier_key,
            guards=self._plan.spec.guards,
            budgets=self._plan.spec.budgets,
            list_nodes=lambda _: list(self._read().values()),
        )


def _looked(kind: Looks, steps: Sequence[Step]) -> ObjectBack:
    """An object whose first step back says itself how it stands."""
    seen = kind.look(ObjectRef.model_validate(steps[0].target), steps[0].params)
    stops = tuple(f"{why}: {PAUSES}" for why in seen.stops)
    return _back(steps, now=seen.now, then=seen.then, evicts=seen.leaves, stops=stops)


def _recorded(steps: Sequence[Step]) -> str:
    """What was written down to come back, known without looking at the cluster."""
    for step in steps:
        if step.kind == "node.restore_tier":
            return f"{step.params['key']}={step.params['prior']['label']}, open to new pods"
        if isinstance(step.params.get("to"), int):
            return f"{step.params['to']} replicas"
        if words := recorded_back(step):
            return words
    return "open to new pods"


def _closed(node: NodeState) -> str:
    return "closed to new pods" if node.unschedulable else "open to new pods"


def _back(
    steps: Sequence[Step],
    *,
    now: str,
    then: str,
    evicts: tuple[str, ...] | None = (),
    stops: tuple[str, ...] = (),
) -> ObjectBack:
    target = steps[0].target
    return ObjectBack(
        cluster=target["cluster"],
        kind=target["kind"],
        name=target["name"],
        steps=tuple(step.title for step in steps),
        now=now,
        then=then,
        evicts=evicts,
        stops=stops,
    )
