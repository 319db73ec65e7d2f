"""Karpenter's do-not-disrupt mark on a node that a plan empties: nobody consolidates it meanwhile.

A mark of somebody else stays theirs. Ours carries the plan beside it and comes off with the last
step, or when the plan ends in any other way.

Params: uid of the node where it is known.
"""

from collections.abc import Mapping, Sequence

from infra_console.cluster.objects import NodeState
from infra_console.cluster.reads import read_node
from infra_console.cluster.writes import change_node
from infra_console.plans.spec import StepSpec
from infra_console.plans.steps.base import Blocked, Done, Outcome, StepContext, Undo
from infra_console.plans.steps.ours import another_object

MARK = "karpenter.sh/do-not-disrupt"
OURS = "infra-console.dev/do-not-disrupt"
RELEASED: Mapping[str, None] = {MARK: None, OURS: None}


def protected_by(node: NodeState) -> str:
    """The plan that keeps a node from disruption, empty when none of ours does."""
    return node.annotations.get(OURS, "")


class Protect:
    """Keep a node from being consolidated."""

    def run(self, step: StepContext) -> Outcome:
        node = read_node(step.cluster, step.target.name)
        if refusal := another_object(step, node.uid) or _refuse(step, node):
            return refusal
        if protected_by(node) == step.plan_id:
            return Done("kept from disruption by this plan")
        if node.annotations.get(MARK) == "true":
            return Done("kept from disruption by somebody else already")
        step.keep_prior({"mark": node.annotations.get(MARK)})
        _protect(step, node)
        return Done("kept from disruption")

    def rehearse(self, step: StepContext) -> Outcome:
        node = read_node(step.cluster, step.target.name)
        if refusal := another_object(step, node.uid) or _refuse(step, node):
            return refusal
        if MARK not in node.annotations:
            _protect(step, node)
        return Done("the server would keep it from disruption")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        title = f"Let {step.target.name} be consolidated again"
        return (Undo("node.unprotect", title, step.tier, {}),)


class Unprotect:
    """Take our mark off; somebody else's stays."""

    def run(self, step: StepContext) -> Outcome:
        node = read_node(step.cluster, step.target.name)
        if protected_by(node) != step.plan_id:
            return Done("no mark of this plan is on it")
        step.keep_prior({"mark": "true"})
        step.write(
            f"let {node.name} be consolidated",
            lambda: change_node(step.cluster, node, annotations=RELEASED, dry_run=step.dry_run),
        )
        return Done("may be consolidated again")

    def rehearse(self, step: StepContext) -> Outcome:
        return Done("nothing was written, so nothing is taken off")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        """A node that goes back is emptied again, so it is kept from disruption again first."""
        title = f"Keep {step.target.name} from disruption again"
        return (Undo("node.protect", title, step.tier, {}),)


def _refuse(step: StepContext, node: NodeState) -> Blocked | None:
    holder = protected_by(node)
    if holder and holder != step.plan_id:
        return Blocked(f"{node.name} is kept from disruption by another plan ({holder})")
    if node.annotations.get(MARK) not in (None, "true"):
        return Blocked(f"{node.name} carries {MARK}={node.annotations[MARK]}, set by somebody else")
    return None


def _protect(step: StepContext, node: NodeState) -> None:
    marks = {MARK: "true", OURS: step.plan_id}
    step.write(
        f"keep {node.name} from disruption",
        lambda: change_node(step.cluster, node, annotations=marks, dry_run=step.dry_run),
    )
