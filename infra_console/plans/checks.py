"""At start: every step kind that settings name must lead to a class with every verb of a step."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from infra_console.plans.steps.registry import step_kind


@register
def check_step_kinds(**_: Any) -> list[CheckMessage]:
    """One error per kind that cannot be resolved."""
    problems: list[CheckMessage] = []
    for kind, path in settings.PLAN_STEP_KINDS.items():
        try:
            made = step_kind(kind)
        except (ImportError, TypeError) as err:
            problems.append(Error(f"Step kind {kind}: {path}: {err}", id="plans.E001"))
            continue
        if not all(callable(getattr(made, verb, None)) for verb in ("run", "rehearse", "undo")):
            hint = "see infra_console/plans/steps/base.py"
            problems.append(
                Error(f"Step kind {kind}: {path} is no step", hint=hint, id="plans.E002")
            )
    return problems
