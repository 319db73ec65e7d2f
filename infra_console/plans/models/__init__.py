"""Plans and what surrounds them, as rows."""

from infra_console.plans.models.envelopes import Envelope, EnvelopeUse
from infra_console.plans.models.looks import Look
from infra_console.plans.models.ownership import Console, ForeignLease
from infra_console.plans.models.plans import (
    Approval,
    Arming,
    Execution,
    KillSwitch,
    LockRow,
    Outbox,
    Plan,
    Settlement,
    Step,
    Transition,
)
from infra_console.plans.models.review import BreakGlass, Comment, FreezeOverride, FreezeWindow
from infra_console.plans.models.taken import TakenField

__all__ = [
    "Approval",
    "Arming",
    "BreakGlass",
    "Comment",
    "Console",
    "Envelope",
    "EnvelopeUse",
    "Execution",
    "ForeignLease",
    "FreezeOverride",
    "FreezeWindow",
    "KillSwitch",
    "LockRow",
    "Look",
    "Outbox",
    "Plan",
    "Settlement",
    "Step",
    "TakenField",
    "Transition",
]
