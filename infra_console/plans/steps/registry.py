"""Step kinds by name, from settings.PLAN_STEP_KINDS; a system check resolves all at start."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from infra_console.plans.steps.base import StepKind


def installed_kinds() -> frozenset[str]:
    return frozenset(settings.PLAN_STEP_KINDS)


def unknown_kind(kind: str) -> str:
    """Why a step that another version of the console wrote down waits for a person."""
    return (
        f"this version of the console knows no step {kind!r}; "
        "resume with the version that proposed the plan, or abort"
    )


def step_kind(kind: str) -> "StepKind":
    """A new instance of the class that carries out steps of this kind.

    Raises:
        KeyError: the kind is not installed. ImportError: its dotted path leads nowhere.
    """
    made: StepKind = import_string(settings.PLAN_STEP_KINDS[kind])()
    return made


def is_side_by_side(kind: str) -> bool:
    """Whether steps of this kind may be tried at once; not so where nothing is said or known."""
    try:
        return bool(getattr(step_kind(kind), "side_by_side", False))
    except (KeyError, ImportError):
        return False
