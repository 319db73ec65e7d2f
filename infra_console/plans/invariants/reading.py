"""A history from the database. Whole tables are read: the checker is run by hand or after a run."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.apps import apps

from infra_console.audit.models import AuditRow
from infra_console.fleet.queries import current_fleet
from infra_console.plans import clock
from infra_console.plans.invariants.history import (
    ApprovalRow,
    AuditEntry,
    EnvelopeRow,
    History,
    PlanRow,
    Request,
    StepRow,
    TransitionRow,
)
from infra_console.plans.models import Approval, Envelope, Execution, Plan, Step, Transition
from infra_console.plans.spec import is_unchanged, plan_hash
from infra_console.plans.states import Mode

DEFAULT_TIER_KEY = "infra-console.dev/tier"


def read_history(
    *,
    requests: Sequence[Request] | None = None,
    nodes: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    skew_s: float = 0.0,
) -> History:
    """Everything that the database remembers, beside what the API servers do."""
    fleet = current_fleet()
    executions = {e.plan_id: e for e in Execution.objects.all()}
    return History(
        now=clock.now(),
        plans=[_plan(p, executions.get(p.id)) for p in Plan.objects.order_by("number")],
        steps=[_step(s) for s in Step.objects.all()],
        transitions=[
            TransitionRow(str(t.plan_id), t.from_state, t.to_state, t.at)
            for t in Transition.objects.all()
        ],
        approvals=[_approval(a) for a in Approval.objects.all()],
        envelopes=[_envelope(e) for e in Envelope.objects.order_by("id")],
        audit=[
            AuditEntry(r.seq, r.at, r.actor, r.action, r.object_id, r.detail)
            for r in AuditRow.objects.filter(object_kind="plan").order_by("seq")
        ],
        comments=_comments(),
        requests=requests,
        nodes=nodes,
        tier_key=fleet.tiers.label_key if fleet else DEFAULT_TIER_KEY,
        skew=timedelta(seconds=skew_s),
    )


def _plan(plan: Plan, execution: Execution | None) -> PlanRow:
    carried: dict[str, Any] = (
        {
            "real": execution.mode == Mode.REAL,
            "started_at": execution.started_at,
            "finished_at": execution.finished_at,
            "lease_expires_at": execution.lease_expires_at,
            "not_before": execution.not_before,
        }
        if execution
        else {}
    )
    return PlanRow(
        id=str(plan.id),
        number=plan.number,
        state=plan.state,
        hash=plan.hash,
        document=plan.document,
        document_hash=_document_hash(plan),
        authors=plan.authors,
        created_at=plan.created_at,
        expires_at=plan.expires_at,
        **carried,
    )


def _document_hash(plan: Plan) -> str:
    """The hash of the stored document; empty when it is no plan any more."""
    if is_unchanged(plan.document, plan.hash):
        return plan.hash
    try:
        return plan_hash(plan.spec)
    except ValueError:
        return ""


def _step(step: Step) -> StepRow:
    name = str(step.target.get("name", ""))
    return StepRow(
        plan=str(step.plan_id),
        key=step.key,
        kind=step.kind,
        state=step.state,
        cluster=step.cluster,
        name=name,
        undo=tuple(part["kind"] for part in step.undo or ()),
        back=step.back,
        took=bool((step.prior or {}).get("owners")) and not step.back,
    )


def _approval(approval: Approval) -> ApprovalRow:
    """Taking back and break-glass are read where this console has them."""
    alone = getattr(approval, "break_glass", None)
    return ApprovalRow(
        plan=str(approval.plan_id),
        hash=approval.plan_hash,
        by=approval.by,
        decision=approval.decision,
        at=approval.at,
        taken_back_at=getattr(approval, "taken_back_at", None),
        ratify_before=alone.ratify_before if alone else None,
        ratified_by=alone.ratified_by if alone else "",
        envelope=approval.envelope_id,
    )


def _envelope(row: Envelope) -> EnvelopeRow:
    names = (
        "author", "approved_by", "approved_at", "ended_at", "expires_at", "clusters", "tiers",
        "step_kinds", "plan_gpus", "total_gpus", "opens", "closes", "time_zone",
    )  # fmt: skip
    return EnvelopeRow(id=row.pk, **{name: getattr(row, name) for name in names})


def _comments() -> list[tuple[str, str]]:
    try:
        comments = apps.get_model("plans", "Comment")
    except LookupError:  # no comments in this version
        return []
    rows = comments.objects.values_list("plan_id", "by")
    return [(str(plan), by) for plan, by in rows]
