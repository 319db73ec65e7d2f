"""The nominal quota of one flavour of a Kueue ClusterQueue: lowered, raised, put back.

Lowering evicts nobody; it keeps the queue from admitting others into what its victims free, so it
is written before they are stopped and done when the queue's status says that no more is reserved
than it has now. Raising is done when Kueue has taken the new quota into an active queue.

Params: flavor, resource, from and to (whole amounts), uid where known, floor (what the queue keeps
of the resource over all flavours; none when it is missing).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from infra_console.cluster.kueue import read_cluster_queue, set_quota
from infra_console.cluster.kueue_objects import ClusterQueueState, QuotaState
from infra_console.cluster.managers import names
from infra_console.plans.marks import CLEARED, marks_of, noted_prior
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
from infra_console.plans.steps.ours import owners_kept
from infra_console.plans.steps.owned import (
    NOBODY,
    below_floor,
    is_ours,
    overtaken,
    owned_by_others,
    replaced,
    reverted,
)

POLL_S = 1.0


class SetQuota:
    """Write one nominal quota; done when the queue's status agrees."""

    def run(self, step: StepContext) -> Outcome:
        queue = read_cluster_queue(step.cluster, step.target.name)
        quota = _quota(step, queue)
        if isinstance(quota, Failed):
            return quota
        if quota.amount != _to(step):
            if refusal := _refuse(step, queue, quota):
                return refusal
            prior = step.prior or _prior(queue, quota)
            step.keep_prior(prior)
            _write(step, queue, quota, prior)
            step.keep_prior({**prior, "written": True})
            queue = read_cluster_queue(step.cluster, step.target.name)
        return _confirm(step, queue)

    def rehearse(self, step: StepContext) -> Outcome:
        queue = read_cluster_queue(step.cluster, step.target.name)
        quota = _quota(step, queue)
        if isinstance(quota, Failed):
            return quota
        if quota.amount == _to(step):
            return Done(f"{_label(step)} is {quota.amount} already")
        if refusal := _refuse(step, queue, quota):
            return refusal
        _write(step, queue, quota, _prior(queue, quota))
        return Done(f"the server would set {_label(step)}: {quota.amount} → {_to(step)}")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        before = step.params.get("from")
        back = {**step.params, "from": step.params.get("to"), "to": before}
        title = f"Set {step.params.get('flavor')} of {step.target.name} back to {before}"
        about = str(step.params.get("flavor"))
        return (Undo("kueue.restore_quota", title, step.tier, back, about=about),)


class RestoreQuota:
    """Put back the very value that stood there, in the name of whoever owned it."""

    def run(self, step: StepContext) -> Outcome:
        queue = read_cluster_queue(step.cluster, step.target.name)
        quota = _quota(step, queue)
        if isinstance(quota, Failed):
            return quota
        prior = step.params["prior"]
        if quota.raw != prior["nominalQuota"] or is_ours(step, queue):
            if refusal := _refuse_back(step, queue, quota):
                return refusal
            _write_back(step, queue, quota, prior)
            queue = read_cluster_queue(step.cluster, step.target.name)
        if not queue.observed:
            return Waiting(f"Kueue has not yet looked at {queue.name}", POLL_S)
        return Done(f"{_label(step)} is {prior['nominalQuota']} again{_above(step, queue)}")

    def rehearse(self, step: StepContext) -> Outcome:
        return Done("nothing was written, so nothing is taken back")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        return ()


def _quota(step: StepContext, queue: ClusterQueueState) -> QuotaState | Failed:
    if refusal := replaced(step, "ClusterQueue", queue.uid):
        return refusal
    flavor, resource = step.params["flavor"], step.params["resource"]
    found = queue.quota(flavor, resource)
    return found or Failed(f"{queue.name} has no quota of {resource} in {flavor} any more")


def _refuse(step: StepContext, queue: ClusterQueueState, quota: QuotaState) -> Outcome | None:
    """Why this quota may not be set now; None when it may."""
    if refusal := overtaken(step, queue):
        return refusal
    if step.prior is not None and (
        step.prior.get("written") or quota.flavor in _noted(step, queue)
    ):
        return reverted(step, f"{_label(step)} is {quota.amount} again", queue.owners)
    if quota.amount != int(step.params["from"]):
        who = names(queue.owners) or NOBODY
        return Failed(
            f"{_label(step)} is {quota.amount}, set by {who}; "
            f"the plan relies on {step.params['from']}"
        )
    return owned_by_others(step, queue.owners) or _refuse_floor(step, queue, quota)


def _refuse_floor(step: StepContext, queue: ClusterQueueState, quota: QuotaState) -> Outcome | None:
    lowered = quota.amount - _to(step)
    if lowered <= 0:
        return None
    floor, total = step.params.get("floor"), queue.total(quota.resource)
    if floor is not None and total - lowered < min(int(floor), total):
        return Failed(
            f"floor: {queue.name} would keep {total - lowered} {quota.resource}, "
            f"below its floor of {floor}"
        )
    return below_floor(step)


def _refuse_back(step: StepContext, queue: ClusterQueueState, quota: QuotaState) -> Outcome | None:
    if refusal := overtaken(step, queue):
        return refusal
    if quota.raw == step.params["prior"]["nominalQuota"]:
        return None
    if quota.amount == int(step.params["from"]):
        return owned_by_others(step, queue.owners)
    return Blocked(
        f"{_label(step)} is {quota.amount} and no longer {step.params['from']}, as the plan left "
        f"it: {names(queue.owners) or NOBODY} changed it since; it was left as it is"
    )


def _prior(queue: ClusterQueueState, quota: QuotaState) -> dict[str, Any]:
    return {
        "flavor": quota.flavor,
        "resource": quota.resource,
        "nominalQuota": quota.raw,
        **owners_kept(queue.owners),
    }


def _noted(step: StepContext, queue: ClusterQueueState) -> dict[str, Any]:
    """What the queue itself says that this plan found, by flavour."""
    return noted_prior(queue) if is_ours(step, queue) else {}


def _write(
    step: StepContext, queue: ClusterQueueState, quota: QuotaState, prior: Mapping[str, Any]
) -> None:
    noted = {**_noted(step, queue), quota.flavor: prior["nominalQuota"]}
    ours = marks_of(plan_id=step.plan_id, epoch=step.epoch, prior=noted)
    step.write(
        f"set quota of {queue.name} {quota.flavor} {quota.amount} → {_to(step)}",
        lambda: set_quota(
            step.cluster, queue, quota, str(_to(step)), annotations=ours, dry_run=step.dry_run
        ),
    )


def _write_back(
    step: StepContext, queue: ClusterQueueState, quota: QuotaState, prior: Mapping[str, Any]
) -> None:
    owners: Sequence[str] = prior.get("owners") or ()
    before = prior["nominalQuota"]
    step.write(
        f"restore quota of {queue.name} {quota.flavor} {quota.amount} → {before}",
        lambda: set_quota(
            step.cluster,
            queue,
            quota,
            before,
            annotations=CLEARED,
            manager=owners[0] if len(owners) == 1 else "",
            dry_run=step.dry_run,
        ),
    )


def _confirm(step: StepContext, queue: ClusterQueueState) -> Outcome:
    """By status: what is reserved when it was lowered, that Kueue took it when it was raised."""
    if not queue.observed:
        return Waiting(f"Kueue has not yet looked at {queue.name}", POLL_S)
    to, held = _to(step), _reserved(step, queue)
    if to < int(step.params["from"]):
        if held > to:
            return Waiting(f"{held} of {to} {step.params['resource']} are still reserved", POLL_S)
        return Done(f"{_label(step)} is {to}, {held} of it reserved")
    if not queue.active:
        return Waiting(f"{queue.name} admits nobody: {queue.why_inactive}", POLL_S)
    return Done(f"{_label(step)} is {to}, {held} of it reserved")


def _above(step: StepContext, queue: ClusterQueueState) -> str:
    """What a quota that was lowered on the way back still lends."""
    over = _reserved(step, queue) - int(step.params["to"])
    return f"; {over} above it are still reserved" if over > 0 else ""


def _reserved(step: StepContext, queue: ClusterQueueState) -> int:
    return queue.reserved.get((step.params["flavor"], step.params["resource"]), 0)


def _to(step: StepContext) -> int:
    return int(step.params["to"])


def _label(step: StepContext) -> str:
    return f"quota of {step.params['flavor']} in {step.target.name}"
