"""HTTP API of plans: read them, approve or reject one by its hash, take one back."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import Http404, HttpRequest
from ninja import Router, Schema

from infra_console.api.auth import require
from infra_console.api.pagination import Limit, cut_page, read_cursor
from infra_console.api.problems import Problem
from infra_console.plans import services
from infra_console.plans.errors import NotAllowed, PlanError, PlanMissing, ReasonMissing
from infra_console.plans.models import Plan
from infra_console.plans.pages import plans_page
from infra_console.plans.rollback import RIGHT, roll_back, rollback_state
from infra_console.plans.rollback_preview import objects_back

router = Router()


class PlanSummary(Schema):
    id: UUID
    number: int
    state: str
    state_reason: str
    version: int
    domain: str
    title: str
    authors: list[str]
    hash: str
    created_at: datetime
    expires_at: datetime


class StepOut(Schema):
    key: str
    kind: str
    title: str
    state: str
    attempts: int
    detail: str
    started_at: datetime | None
    finished_at: datetime | None
    back: bool


class TransitionOut(Schema):
    from_state: str
    to_state: str
    who: str
    at: datetime
    why: str


class ApprovalOut(Schema):
    by: str
    decision: str
    reason: str
    plan_hash: str
    at: datetime


class PlanOut(PlanSummary):
    summary: str
    document: dict[str, Any]
    steps: list[StepOut]
    transitions: list[TransitionOut]
    approvals: list[ApprovalOut]
    settlement: dict[str, Any] | None


class PlanList(Schema):
    items: list[PlanSummary]
    next_cursor: str


class DecisionIn(Schema):
    """`hash` is the plan that was read: a plan that differs is refused."""

    hash: str
    reason: str = ""


class RollbackIn(Schema):
    reason: str = ""


class ObjectBackOut(Schema):
    """One object of a way back; `stops` says what would pause it there."""

    cluster: str
    kind: str
    name: str
    steps: list[str]
    now: str
    then: str
    evicts: list[str]
    stops: list[str]


class WayBackOut(Schema):
    """What a rollback would do now; `missing` is why you may not start it."""

    allowed: bool
    missing: list[str]
    objects: list[ObjectBackOut]


Group = Literal["all", "review", "live", "good", "bad", "gone"]


@router.get("", response=PlanList)
def list_plans(
    request: HttpRequest, show: Group = "all", region: str = "", cursor: str = "", limit: Limit = 50
) -> dict[str, Any]:
    """Plans, newest first; `show` is a group of states."""
    require(request, "view")
    found = plans_page(group=show, region=region, before=read_cursor(cursor), limit=limit + 1)
    items, next_cursor = cut_page(found, [plan.number for plan in found], limit)
    return {"items": items, "next_cursor": next_cursor}


@router.get("/{uuid:plan_id}", response=PlanOut)
def get_plan(request: HttpRequest, plan_id: UUID) -> dict[str, Any]:
    """One plan whole, with its document, steps and history."""
    require(request, "view")
    return _whole(plan_id)


@router.post("/{uuid:plan_id}/approve", response=PlanOut)
def approve(request: HttpRequest, plan_id: UUID, decision: DecisionIn) -> dict[str, Any]:
    return _decide(request, plan_id, decision, "plan.approve", services.approve_plan)


@router.post("/{uuid:plan_id}/reject", response=PlanOut)
def reject(request: HttpRequest, plan_id: UUID, decision: DecisionIn) -> dict[str, Any]:
    return _decide(request, plan_id, decision, "plan.reject", services.reject_plan)


@router.get("/{uuid:plan_id}/rollback", response=WayBackOut)
def preview_rollback(request: HttpRequest, plan_id: UUID) -> dict[str, Any]:
    """What a rollback would do, computed from what was recorded and what stands there now."""
    user = require(request, "view")
    plan = Plan.objects.filter(id=plan_id).first()
    if plan is None:
        raise Http404
    state = rollback_state(plan, user)
    return {"allowed": state.allowed, "missing": state.missing, "objects": objects_back(plan)}


@router.post("/{uuid:plan_id}/rollback", response=PlanOut)
def rollback(request: HttpRequest, plan_id: UUID, order: RollbackIn) -> dict[str, Any]:
    """Take back what the plan has written."""
    return _act(plan_id, roll_back, by=require(request, RIGHT), reason=order.reason)


def _decide(
    request: HttpRequest, plan_id: UUID, decision: DecisionIn, right: str, act: Callable[..., Plan]
) -> dict[str, Any]:
    user = require(request, right)
    if not decision.hash:
        raise Problem(422, "hash-missing", "Send the hash of the plan that you read.")
    return _act(plan_id, act, by=user, plan_hash=decision.hash, reason=decision.reason)


def _act(plan_id: UUID, act: Callable[..., Plan], **words: Any) -> dict[str, Any]:
    try:
        act(plan_id, **words)
    except PlanMissing as err:
        raise Http404 from err
    except NotAllowed as err:
        raise Problem(403, "not-allowed", str(err)) from err
    except ReasonMissing as err:
        raise Problem(422, "reason-missing", str(err)) from err
    except PlanError as err:
        raise Problem(409, _code(err), str(err)) from err
    return _whole(plan_id)


def _code(err: PlanError) -> str:
    """`AuthorMayNotApprove` is `author-may-not-approve` to programs."""
    name = type(err).__name__
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).removeprefix("-")


def _whole(plan_id: UUID) -> dict[str, Any]:
    plan = Plan.objects.filter(id=plan_id).select_related("settlement").first()
    if plan is None:
        raise Http404
    settlement = getattr(plan, "settlement", None)
    return {
        **PlanSummary.from_orm(plan).dict(),
        "summary": plan.summary,
        "document": plan.document,
        "steps": list(plan.steps.all()),
        "transitions": list(plan.transitions.all()),
        "approvals": list(plan.approvals.all()),
        "settlement": settlement and _settlement(settlement),
    }


def _settlement(settlement: Any) -> dict[str, Any]:
    return {
        "at": settlement.at,
        "promises": settlement.promises,
        "kept": settlement.kept_count,
        "missed": settlement.missed_count,
        "unknown": settlement.unknown_count,
    }
