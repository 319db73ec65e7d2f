"""HTTP API of plans: read them, decide by hash, comment, take one back."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import Http404, HttpRequest
from ninja import Query, Router

from infra_console.api.auth import require
from infra_console.api.pagination import Limit, cut_page, read_cursor
from infra_console.api.problems import Problem
from infra_console.plans import services
from infra_console.plans.approving.comments import add_comment
from infra_console.plans.approving.freezes import frozen_plan, override_freeze
from infra_console.plans.approving.quorum import quorum_of
from infra_console.plans.errors import (
    CommentEmpty,
    NotAllowed,
    PlanError,
    PlanMissing,
    ReasonMissing,
    StartInvalid,
)
from infra_console.plans.http.api_schemas import (
    ApproveIn,
    CheckOut,
    CommentIn,
    DecisionIn,
    LookOut,
    PlanList,
    PlanOut,
    PlanSummary,
    ReasonIn,
    WayBackOut,
)
from infra_console.plans.looking.looks import RIGHT as LOOK_RIGHT
from infra_console.plans.looking.looks import look_of, request_look
from infra_console.plans.looking.policy import Check, policy_checks
from infra_console.plans.models import Plan
from infra_console.plans.models.looks import Look, LookKind
from infra_console.plans.pages.gathered import plans_page
from infra_console.plans.queries import settlement_detail
from infra_console.plans.settling.track_record import DAYS, track_record
from infra_console.plans.settling.verification import end_verification
from infra_console.plans.taking_back.rollback import RIGHT, roll_back, rollback_state

router = Router()


Verb = Literal["pause", "resume", "abort", "end-verification"]
VERBS: Mapping[str, Callable[..., Plan]] = {
    "pause": services.pause_execution,
    "resume": services.resume_execution,
    "abort": services.abort_execution,
    "end-verification": end_verification,
}
Days = Annotated[int, Query(ge=1, le=366)]
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


@router.get("/track-record", response=dict[str, Any])
def get_track_record(request: HttpRequest, days: Days = DAYS, region: str = "") -> dict[str, Any]:
    """Promised against realised of what was settled in the last days, by mode and by day."""
    require(request, "view")
    return track_record(days=days, region=region).as_json()


@router.get("/{uuid:plan_id}", response=PlanOut)
def get_plan(request: HttpRequest, plan_id: UUID) -> dict[str, Any]:
    """One plan whole, with its document, steps and history."""
    require(request, "view")
    return _whole(plan_id)


@router.post("/{uuid:plan_id}/approve", response=PlanOut)
def approve(request: HttpRequest, plan_id: UUID, decision: ApproveIn) -> dict[str, Any]:
    words = _bound(request, "plan.approve", decision) | {"start_at": _aware(decision.start_at)}
    return _act(plan_id, services.approve_plan, words)


@router.post("/{uuid:plan_id}/reject", response=PlanOut)
def reject(request: HttpRequest, plan_id: UUID, decision: DecisionIn) -> dict[str, Any]:
    return _act(plan_id, services.reject_plan, _bound(request, "plan.reject", decision))


@router.post("/{uuid:plan_id}/break-glass", response=PlanOut)
def break_glass(request: HttpRequest, plan_id: UUID, decision: DecisionIn) -> dict[str, Any]:
    """Approve alone; a colleague is to ratify it within the hour."""
    return _act(plan_id, services.break_glass, _bound(request, "plan.break_glass", decision))


@router.post("/{uuid:plan_id}/take-back", response=PlanOut)
def take_back(request: HttpRequest, plan_id: UUID, why: ReasonIn) -> dict[str, Any]:
    """Take one's own approval back before the plan may start."""
    words = {"by": require(request, "plan.approve"), "reason": why.reason}
    return _act(plan_id, services.take_back_approval, words)


@router.post("/{uuid:plan_id}/ratify", response=PlanOut)
def ratify(request: HttpRequest, plan_id: UUID, why: ReasonIn) -> dict[str, Any]:
    words = {"by": require(request, "plan.approve"), "reason": why.reason}
    return _act(plan_id, services.ratify, words)


@router.post("/{uuid:plan_id}/comments", response=PlanOut)
def comment(request: HttpRequest, plan_id: UUID, said: CommentIn) -> dict[str, Any]:
    words = {"by": require(request, "plan.comment"), "text": said.text}
    return _act(plan_id, add_comment, words)


@router.post("/{uuid:plan_id}/override-freeze", response=PlanOut)
def override(request: HttpRequest, plan_id: UUID, why: ReasonIn) -> dict[str, Any]:
    """Let this plan go on in spite of every freeze window."""
    words = {"by": require(request, "freeze.manage"), "reason": why.reason}
    return _act(plan_id, override_freeze, words)


@router.get("/{uuid:plan_id}/rollback", response=WayBackOut)
def preview_rollback(request: HttpRequest, plan_id: UUID) -> dict[str, Any]:
    """What a rollback would do, as a worker saw it last."""
    user = require(request, "view")
    plan = Plan.objects.filter(id=plan_id).first()
    if plan is None:
        raise Http404
    state = rollback_state(plan, user)
    look = look_of(plan.id, LookKind.WAY_BACK)
    return {
        "allowed": state.allowed,
        "missing": state.missing,
        "objects": look.document["objects"] if look and look.document else [],
        "seen_at": look and look.seen_at,
        "asked_at": look and look.asked_at,
        "problem": look.problem if look else "",
    }


@router.post("/{uuid:plan_id}/control/{verb}", response=PlanOut)
def control(request: HttpRequest, plan_id: UUID, verb: Verb, why: ReasonIn) -> dict[str, Any]:
    """Pause, resume or abort an execution, or end a verification that cannot end by itself."""
    words = {"by": require(request, RIGHT), "reason": why.reason}
    return _act(plan_id, VERBS[verb], words)


@router.get("/{uuid:plan_id}/checks", response=list[CheckOut])
def checks(request: HttpRequest, plan_id: UUID) -> list[Check]:
    """The policy checks of a plan that has not begun, one by one."""
    require(request, "view")
    plan = Plan.objects.filter(id=plan_id).first()
    if plan is None:
        raise Http404
    return policy_checks(plan)


@router.get("/{uuid:plan_id}/looks/{kind}", response=LookOut)
def get_look(request: HttpRequest, plan_id: UUID, kind: LookKind) -> Look:
    """The newest answer of a worker: `rehearsal` (server dry-run) or `way_back`."""
    require(request, "view")
    if look := look_of(plan_id, kind):
        return look
    raise Http404


@router.post("/{uuid:plan_id}/looks/{kind}", response=LookOut)
def post_look(request: HttpRequest, plan_id: UUID, kind: LookKind) -> Look:
    """Ask a worker to look; read the answer with GET."""
    user = require(request, LOOK_RIGHT)
    if not Plan.objects.filter(id=plan_id).exists():
        raise Http404
    return request_look(plan_id, kind, by=user)


@router.post("/{uuid:plan_id}/rollback", response=PlanOut)
def rollback(request: HttpRequest, plan_id: UUID, why: ReasonIn) -> dict[str, Any]:
    """Take back what the plan has written."""
    words = {"by": require(request, RIGHT), "reason": why.reason}
    return _act(plan_id, roll_back, words)


def _bound(request: HttpRequest, right: str, decision: DecisionIn) -> dict[str, Any]:
    """Who decides, why, and on which hash."""
    user = require(request, right)
    if not decision.hash:
        raise Problem(422, "hash-missing", "Send the hash of the plan that you read.")
    return {"by": user, "plan_hash": decision.hash, "reason": decision.reason}


def _aware(at: datetime | None) -> datetime | None:
    """A time without a zone is in UTC, as every time of this API."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _act(plan_id: UUID, act: Callable[..., Any], words: dict[str, Any]) -> dict[str, Any]:
    try:
        act(plan_id, **words)
    except PlanMissing as err:
        raise Http404 from err
    except NotAllowed as err:
        raise Problem(403, "not-allowed", str(err)) from err
    except (ReasonMissing, CommentEmpty, StartInvalid) as err:
        raise Problem(422, problem_code(err), str(err)) from err
    except PlanError as err:
        raise Problem(409, problem_code(err), str(err)) from err
    return _whole(plan_id)


def problem_code(err: PlanError) -> str:
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
        "quorum": quorum_of(plan).as_json(),
        "frozen": held.words if (held := frozen_plan(plan)) else "",
        "comments": list(plan.comments.all()),
        "settlement": settlement and settlement_detail(settlement),
    }
