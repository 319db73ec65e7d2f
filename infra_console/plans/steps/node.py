"""The steps that move a node between tiers: cordon, assign the tier, uncordon; drain.py empties it.

A cordon of ours carries the plan and what stood before, written in the same patch. A cordon or
taint of somebody else is never lifted, and a node that somebody else took meanwhile is left alone.

Params: key and from (the tier label that the giving steps rely on), uid of the node where it is
known; assigning takes `to` as well.
"""

from collections.abc import Sequence

from infra_console.cluster.errors import ObjectMissing
from infra_console.cluster.objects import NodeState, Taint
from infra_console.cluster.reads import read_node
from infra_console.cluster.writes import change_node
from infra_console.plans.holding.guards import foreign_taint
from infra_console.plans.marks import CLEARED, epoch_on, held_by, marks, newer_epoch
from infra_console.plans.spec import StepSpec
from infra_console.plans.steps.base import (
    Blocked,
    Done,
    Failed,
    Outcome,
    StepContext,
    Undo,
    Waiting,
)
from infra_console.plans.steps.labels import label_node
from infra_console.plans.steps.taints import every_taint, has_tier, tier_taints

BUDGET_POLL_S = 1.0


class Cordon:
    """Close a node to new pods, and mark it as ours.

    Never at once with another: each counts what the one before it has left. The node is taken from
    the very list that floors and budgets are counted on.
    """

    def run(self, step: StepContext) -> Outcome:
        node, nodes = _read_all(step)
        if refusal := refuse_other(step, node):
            return refusal
        if _is_ours(step, node) and node.unschedulable:
            return Done("closed to new pods by this plan")
        if refusal := _refuse_cordon(step, node, nodes):
            return refusal
        step.keep_prior({"unschedulable": False})
        _write_cordon(step, node)
        return Done("closed to new pods")

    def rehearse(self, step: StepContext) -> Outcome:
        node, nodes = _read_all(step)
        if refusal := refuse_other(step, node) or _refuse_cordon(step, node, nodes):
            return refusal
        _write_cordon(step, node)
        return Done("the server would close it to new pods")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        title = f"Open {step.target.name} again"
        return (Undo("node.uncordon", title, step.tier, {}, while_held=True),)


class AssignTier:
    """Set the tier label and taint of a node that we hold, two writes that its cordon covers."""

    side_by_side = True

    def run(self, step: StepContext) -> Outcome:
        node = read_target(step)
        key, to = step.params["key"], step.params["to"]
        if refusal := refuse_other(step, node):
            return refusal
        if has_tier(node, key, to):
            return Done(f"carries {key}={to}")
        if refusal := refuse_unheld(step, node):
            return refusal
        held = step.prior or {
            "label": node.labels.get(key),
            "taints": tier_taints(node, key),
            "every_taint": every_taint(node),
        }
        step.keep_prior(held)
        if node.labels.get(key) != to:
            if refusal := label_node(step, node, key, to, held):
                return refusal
            node = read_target(step)
            if refusal := refuse_unheld(step, node):
                return refusal
        _write_taint(step, node)
        return Done(f"{key}: {held['label']} → {to}")

    def rehearse(self, step: StepContext) -> Outcome:
        node = read_target(step)
        key, to = step.params["key"], step.params["to"]
        if refusal := refuse_other(step, node) or label_node(step, node, key, to, {}):
            return refusal
        _write_taint(step, node)
        return Done(f"the server would set {key}={to}")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        """The node is emptied of whoever has it now before it goes back."""
        name, taker, giver = step.target.name, step.tier, step.params.get("from") or step.tier
        relied = {**step.params, "from": step.params.get("to"), "to": step.params.get("from")}
        return (
            Undo("node.cordon_back", f"Close {name} again", taker, relied),
            Undo("node.drain_back", f"Empty {name} again", taker, relied),
            Undo("node.restore_tier", f"Give {name} back to {giver}", giver, relied),
            Undo("node.uncordon", f"Open {name} again", giver, {}),
        )


class Uncordon:
    """Open a node again, only if the cordon is this plan's, and take our marks off."""

    side_by_side = True

    def run(self, step: StepContext) -> Outcome:
        node = read_target(step)
        if not _is_ours(step, node):
            if node.unschedulable:
                return Blocked(f"{node.name} is closed by somebody else; it was left as it is")
            return Done("open to new pods")
        if _overtaken(step, node):
            return _overtaken_by(step, node)
        _write_uncordon(step, node)
        return Done("open to new pods")

    def rehearse(self, step: StepContext) -> Outcome:
        node = read_target(step)
        if node.unschedulable:
            return Failed(f"{node.name} is closed by somebody else")
        return Done("would be opened to new pods")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        return ()  # what closes it again belongs to the tier that it goes back to


def read_target(step: StepContext) -> NodeState:
    return read_node(step.cluster, step.target.name)


def _is_ours(step: StepContext, node: NodeState) -> bool:
    return held_by(node) == step.plan_id


def _overtaken(step: StepContext, node: NodeState) -> bool:
    return _is_ours(step, node) and epoch_on(node) > step.epoch


def _overtaken_by(step: StepContext, node: NodeState) -> Blocked:
    """An old worker never gets to say this: its lease is lost, so its outcome is not recorded."""
    return Blocked(newer_epoch(node, step.epoch))


def refuse_other(step: StepContext, node: NodeState) -> Outcome | None:
    """Why this is no longer the node that was approved: replaced, or given to another tier."""
    uid, key = step.params.get("uid"), step.params.get("key")
    if uid and node.uid != uid:
        return Failed(f"{node.name} was replaced by another node of its name")
    held = node.labels.get(key) if key else None
    if key and held not in {step.params[end] for end in ("from", "to") if end in step.params}:
        return Failed(f"{node.name} now carries {key}={held}, set by somebody else")
    return None


def _read_all(step: StepContext) -> tuple[NodeState, list[NodeState]]:
    """The step's node, and all of its cluster, from one read."""
    nodes, name = step.guards.nodes(), step.target.name
    node = next((n for n in nodes if n.name == name), None)
    if node is None:
        raise ObjectMissing(step.cluster, f"node {name}")
    return node, nodes


def _refuse_cordon(
    step: StepContext, node: NodeState, nodes: Sequence[NodeState]
) -> Outcome | None:
    """Why this node may not be closed now; None when it may."""
    if holder := held_by(node):
        if holder != step.plan_id:
            return Blocked(f"{node.name} is held by another plan ({holder})")
        if _overtaken(step, node):
            return _overtaken_by(step, node)
    if foreign := _kept_by_others(step, node):
        return Failed(foreign)
    floor, budget = step.guards.refusals(node, nodes)
    if floor:
        return Blocked(f"floor: {floor}")
    return Waiting(f"budget: {budget}", BUDGET_POLL_S) if budget else None


def _kept_by_others(step: StepContext, node: NodeState) -> str:
    """How somebody else keeps pods off a node, by cordon or taint; empty when nobody does."""
    if node.unschedulable:
        return f"{node.name} was closed by somebody else; that is not ours to use"
    if key := foreign_taint(node, tier_key=step.tier_key):
        return f"{node.name} is tainted by somebody else ({key})"
    return ""


def refuse_unheld(step: StepContext, node: NodeState) -> Outcome | None:
    """Why a node that we should hold is not ours to work on; None when it is."""
    if not _is_ours(step, node):
        return Failed(f"{node.name} no longer carries this plan's mark")
    if not node.unschedulable:
        return Failed(f"{node.name} was opened to new pods by somebody else")
    return _overtaken_by(step, node) if _overtaken(step, node) else None


def _write_cordon(step: StepContext, node: NodeState) -> None:
    ours = marks(plan_id=step.plan_id, epoch=step.epoch, node=node, tier_key=step.tier_key)
    step.write(
        f"cordon {node.name}",
        lambda: change_node(
            step.cluster, node, unschedulable=True, annotations=ours, dry_run=step.dry_run
        ),
    )


def _write_uncordon(step: StepContext, node: NodeState) -> None:
    step.write(
        f"uncordon {node.name}",
        lambda: change_node(
            step.cluster, node, unschedulable=False, annotations=CLEARED, dry_run=step.dry_run
        ),
    )


def _write_taint(step: StepContext, node: NodeState) -> None:
    key, to = step.params["key"], step.params["to"]
    taints = [t for t in node.taints if t.key != key] + [Taint(key, to, "NoSchedule")]
    if tuple(taints) == node.taints:
        return
    step.write(
        f"taint {node.name} {key}={to}",
        lambda: change_node(step.cluster, node, taints=taints, dry_run=step.dry_run),
    )
