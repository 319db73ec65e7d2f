"""Pages of plans: the list by state, one plan whole, and arming. Decisions are in decisions.py."""

from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.numbers import whole_number
from infra_console.overview.pages import render_page
from infra_console.overview.queries import kill_switch
from infra_console.overview.scope import TIERS, scope_of
from infra_console.plans import queries
from infra_console.plans.approving.asking import held_back
from infra_console.plans.approving.changes import paying, progress, tier_changes, workload_changes
from infra_console.plans.models import Execution, Plan, Settlement
from infra_console.plans.pages import gathered as pages
from infra_console.plans.pages.decisions import DEFAULT_HOURS
from infra_console.plans.pages.look_views import policy_parts
from infra_console.plans.pages.review import review_parts
from infra_console.plans.pages.take_over_views import OWNED_PARTS, owned_parts
from infra_console.plans.safety import MAX_ARMED_HOURS
from infra_console.plans.states import PlanState
from infra_console.plans.taking_back.rollback import STARTS, rollback_state

PAGE_SIZE = 50
PARTS = {
    part: f"plans/{part}.html"
    for part in (
        "heading",
        "decision",
        "control",
        "offer",
        "policy",
        "timeline",
        "promises",
        "comments",
        "trail",
    )
}
# What may be done to an execution, by the state of its plan: verb, word, icon.
CONTROLS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    PlanState.EXECUTING: (("pause", "Pause", "pause"), ("abort", "Abort", "stop")),
    PlanState.ROLLING_BACK: (("pause", "Pause", "pause"), ("abort", "Abort", "stop")),
    PlanState.VERIFYING: (("end-verification", "End the verification", "stop"),),
    PlanState.PAUSED: (("resume", "Resume", "play"), ("abort", "Abort", "stop")),
}


@require_safe
@needs("view")
def index(request: PageRequest) -> HttpResponse:
    """Plans of one group of states, newest first."""
    group, before = request.GET.get("show", "all"), request.GET.get("before", "")
    group = group if group in pages.GROUPS else "all"
    found = pages.plans_page(
        group=group,
        region=scope_of(request).region,
        before=whole_number(before),
        limit=PAGE_SIZE + 1,
    )
    context = {
        "plans": found[:PAGE_SIZE],
        "older": found[PAGE_SIZE - 1].number if len(found) > PAGE_SIZE else None,
        "group": group,
        "groups": lambda: pages.group_counts(group),
        "held": held_back,
    }
    return render_page(request, "plans/index.html", context, parts={"plan-list": "plans/list.html"})


@require_safe
@needs("view")
def detail(request: PageRequest, plan_id: UUID) -> HttpResponse:
    """One plan whole; each part refreshes by itself."""
    plan = get_object_or_404(Plan.objects.select_related("superseded_by"), id=plan_id)
    steps = cache(lambda: list(plan.steps.all()))
    forward = cache(lambda: [s for s in steps() if not s.back])
    execution = cache(lambda: Execution.objects.filter(plan=plan).first())
    settlement = cache(lambda: Settlement.objects.filter(plan=plan).first())
    context = {
        "plan": plan,
        "spec": plan.spec,
        "tier_changes": lambda: tier_changes(plan.spec),
        "workload_changes": lambda: workload_changes(plan.spec),
        "paying": lambda: paying(plan.spec),
        "execution": execution,
        "settlement": settlement,
        "lanes": lambda: pages.timeline(forward()) if steps() else pages.planned_timeline(plan),
        "back_lanes": lambda: pages.timeline(s for s in steps() if s.back),
        "ended": lambda: progress(forward())[0],
        "total": lambda: len(plan.spec.steps),
        "promises": lambda: pages.promise_rows(plan, execution(), settlement()),
        "approvals": plan.approvals.all,
        "transitions": plan.transitions.all,
        "armed": lambda: pages.is_armed(plan),
        "approval": lambda: queries.approval_state(plan, request.user),
        "rollback": lambda: rollback_state(plan, request.user),
        "may_go_back": plan.state in STARTS,
        "controls": lambda: controls_of(plan, execution()),
        **review_parts(plan, request.user),
        **policy_parts(plan, request.user),
        **_lacks(request),
    }
    return render_page(request, "plans/detail.html", context, parts=PARTS)


def controls_of(plan: Plan, run: Execution | None) -> tuple[tuple[str, str, str], ...]:
    """What may be done to the execution now; one that was verified only waits for its horizon."""
    if plan.state == PlanState.VERIFYING and run and run.verified_at:
        return ()
    return CONTROLS.get(plan.state, ())


def _lacks(request: PageRequest) -> dict[str, Any]:
    rights = {
        "lacks_reject": "plan.reject",
        "lacks_withdraw": "plan.withdraw",
        "lacks_control": "execution.control",
    }
    return {name: missing_right(request.user, right) for name, right in rights.items()}


@require_safe
@needs("view")
def arming(request: PageRequest) -> HttpResponse:
    context = {
        "rows": pages.arming_rows,
        "tiers": TIERS,
        "default_hours": DEFAULT_HOURS,
        "max_hours": MAX_ARMED_HOURS,
        "switch": kill_switch(),
        "lacks_arm": missing_right(request.user, "cluster.arm"),
        "lacks_switch": missing_right(request.user, "killswitch"),
        **owned_parts(request.user),
    }
    return render_page(request, "plans/arming.html", context, parts=OWNED_PARTS)
