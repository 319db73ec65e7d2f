"""Taking a node back from the tier it was given to: close it, empty it, restore what stood there.

The first three leave a node alone that carries what stood there before: it never changed, or is
back already. One that carries neither that nor what the plan set was changed by somebody else; it
is left as it is, before anything is evicted from it.

Params: as the steps of node.py, with `from` what the plan set and `to` the tier before it; `prior`
is what the step that is undone found.
"""

import json
from collections.abc import Sequence

from infra_console.cluster.labels import hand_back_label
from infra_console.cluster.objects import NodeState, Taint
from infra_console.cluster.writes import change_node
from infra_console.plans.holding.guards import CORDON_TAINT
from infra_console.plans.marks import PRIOR
from infra_console.plans.spec import StepSpec
from infra_console.plans.steps.base import Blocked, Done, Outcome, StepContext, Undo
from infra_console.plans.steps.drain import Drain
from infra_console.plans.steps.gangs import let_back
from infra_console.plans.steps.labels import label_node
from infra_console.plans.steps.node import (
    Cordon,
    read_target,
    refuse_other,
    refuse_unheld,
)
from infra_console.plans.steps.taints import tier_taints

AS_BEFORE = "carries what stood there before"


class CloseAgain(Cordon):
    """Close a node to new pods, unless it is back already."""

    def run(self, step: StepContext) -> Outcome:
        node = read_target(step)
        if is_back(step, node):
            return Done(AS_BEFORE)
        return refuse_changed(step, node) or super().run(step)


class EmptyAgain(Drain):
    """Evict what runs on a node that goes back."""

    def run(self, step: StepContext) -> Outcome:
        node = read_target(step)
        if is_back(step, node):
            return Done(AS_BEFORE)
        outcome = refuse_changed(step, node) or super().run(step)
        if isinstance(outcome, Done) and step.params.get("requeue"):
            let_back(step)
        return outcome


class RestoreTier:
    """Put the tier label and every tier taint back exactly as they were."""

    side_by_side = True

    def run(self, step: StepContext) -> Outcome:
        node = read_target(step)
        if is_back(step, node):
            return Done(AS_BEFORE)
        refusal = refuse_changed(step, node) or refuse_unheld(step, node)
        if refusal or (refusal := _refuse_witness(step, node)):
            return refusal
        if refusal := _restore_label(step, node):
            return refusal
        node = read_target(step)
        if refusal := refuse_unheld(step, node):
            return refusal
        _restore_taints(step, node)
        return Done(f"{step.params['key']}: {step.params['from']} → {_prior_label(step)}")

    def rehearse(self, step: StepContext) -> Outcome:
        return Done("nothing was written, so nothing is taken back")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        return ()


def is_back(step: StepContext, node: NodeState) -> bool:
    """Whether a node's tier label and taints are those that stood before the plan."""
    key = step.params["key"]
    label, taints = node.labels.get(key), tier_taints(node, key)
    return label == _prior_label(step) and taints == step.params["prior"]["taints"]


def refuse_changed(step: StepContext, node: NodeState) -> Outcome | None:
    """Why this is not the node as the plan left it; None when it is."""
    if refusal := refuse_other(step, node):
        return refusal
    key, ours = step.params["key"], step.params["from"]
    # Label and taint are two writes: one may stand as the plan set it, the other as before.
    labels = (ours, _prior_label(step))
    taints = ([[key, ours, "NoSchedule"]], step.params["prior"]["taints"])
    if node.labels.get(key) in labels and tier_taints(node, key) in taints:
        return None
    return Blocked(
        f"{node.name} no longer stands as the plan left it ({key}={ours} with its taint): "
        "somebody changed it since; it was left as it is"
    )


def _refuse_witness(step: StepContext, node: NodeState) -> Blocked | None:
    """The node's own note of what stood before must not speak against our record.

    A node that was closed again carries a note of what the plan set.
    """
    try:
        noted = json.loads(node.annotations.get(PRIOR, "")).get("label")
    except (ValueError, AttributeError):
        return Blocked(f"{node.name} carries no readable note of what stood there before")
    if noted in (_prior_label(step), step.params["from"]):
        return None
    return Blocked(
        f"{node.name} notes that {noted} stood there before, our record says {_prior_label(step)}"
    )


def _prior_label(step: StepContext) -> str | None:
    label: str | None = step.params["prior"]["label"]
    return label


def _restore_label(step: StepContext, node: NodeState) -> Outcome | None:
    """The label as it was, in the name of whoever owned it when the plan took it over."""
    key, before = step.params["key"], _prior_label(step)
    if node.labels.get(key) == before:
        return None
    owners = step.params["prior"].get("owners") or ()
    if before is not None and not owners:
        return label_node(step, node, key, before, None)
    step.write(
        f"give back {key}={before} on {node.name}",
        lambda: hand_back_label(
            step.cluster, node, key, before, manager=next(iter(owners), ""), dry_run=step.dry_run
        ),
    )
    return None


def _restore_taints(step: StepContext, node: NodeState) -> None:
    taints = _prior_taints(step, node)
    if tuple(taints) == node.taints:
        return
    step.write(
        f"restore the taints of {node.name}",
        lambda: change_node(step.cluster, node, taints=taints, dry_run=step.dry_run),
    )


def _prior_taints(step: StepContext, node: NodeState) -> list[Taint]:
    """The whole list as it was, while nobody else changed theirs; else ours after theirs of now."""
    key, prior = step.params["key"], step.params["prior"]
    cordon = [t for t in node.taints if t.key == CORDON_TAINT]
    others = [t for t in node.taints if t.key not in (key, CORDON_TAINT)]
    whole = [Taint(*parts) for parts in prior.get("every_taint", prior["taints"])]
    if [t for t in whole if t.key != key] == others:
        return [*whole, *cordon]
    return [*others, *(t for t in whole if t.key == key), *cordon]
