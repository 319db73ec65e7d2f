"""At start: what settings name for plans must be there: step kinds with every verb of a
step, readers of facts, rights in a cluster, and who doubts."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

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


@register
def check_contributions(**_: Any) -> list[CheckMessage]:
    """One error per reader of facts, or list of rights, that leads nowhere."""
    problems: list[CheckMessage] = []
    for setting in ("PLAN_FACTS", "PLAN_READINGS", "CLUSTER_RIGHTS"):
        for name, path in getattr(settings, setting).items():
            try:
                import_string(path)
            except ImportError as err:
                problems.append(Error(f"{setting} {name}: {path}: {err}", id="plans.E003"))
    return problems


@register
def check_shrink_doubts(**_: Any) -> list[CheckMessage]:
    """Without it nobody would hold back a plan whose metrics turned doubtful."""
    path = settings.PLAN_SHRINK_DOUBTS
    try:
        found = import_string(path)
    except ImportError as err:
        return [Error(f"PLAN_SHRINK_DOUBTS: {path}: {err}", id="plans.E004")]
    return [] if callable(found) else [Error(f"PLAN_SHRINK_DOUBTS: {path}", id="plans.E004")]
