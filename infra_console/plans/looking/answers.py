"""The worker's side of looks: ask the clusters, keep the answer."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from infra_console.cluster.errors import ClusterError
from infra_console.plans import clock
from infra_console.plans.looking.looks import FAILED, keep_answer
from infra_console.plans.looking.rehearsal import rehearse
from infra_console.plans.looking.rollback_preview import objects_back
from infra_console.plans.models import Plan
from infra_console.plans.models.looks import LookKind

log = logging.getLogger(__name__)


def _way_back(plan: Plan) -> dict[str, Any]:
    return {"state": plan.state, "objects": [asdict(one) for one in objects_back(plan)]}


ANSWERS: Mapping[str, Callable[[Plan], dict[str, Any]]] = {
    LookKind.REHEARSAL: rehearse,
    LookKind.WAY_BACK: _way_back,
}


def answer(plan_id: UUID, kind: str) -> str:
    """Look once and keep what was seen; safe to call any number of times."""
    plan = Plan.objects.filter(id=plan_id).first()
    if plan is None or kind not in ANSWERS:
        return "nothing to look at"
    seen_at, document, problem = clock.now(), None, ""
    try:
        document = ANSWERS[kind](plan)
    except ClusterError as err:
        problem = str(err)
    except Exception:  # an answer is owed, or the page would wait for ever
        log.exception("Look %s at plan %s failed", kind, plan_id)
        problem = FAILED
    keep_answer(plan_id, kind, document=document, problem=problem, seen_at=seen_at)
    return problem or "looked"
