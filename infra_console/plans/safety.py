"""What must be true before anything of ours writes: rights, arming, the kill switch."""

from datetime import datetime, timedelta
from typing import get_args

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from infra_console.access.roles import can, missing_right
from infra_console.audit.services import record_audit
from infra_console.fleet.models import Cluster
from infra_console.live.services import publish
from infra_console.plans.errors import ArmingInvalid, NotAllowed
from infra_console.plans.models import Arming, KillSwitch
from infra_console.plans.spec import Tier

MAX_ARMED_HOURS = 168.0


def require_right(user: User, right: str) -> None:
    """Raise NotAllowed, which says who holds the right, unless the user does."""
    if not can(user, right):
        raise NotAllowed(right, missing_right(user, right))


@transaction.atomic
def arm(cluster: str, tier: str, *, by: User, hours: float) -> Arming:
    """Allow writes to one tier of one cluster for some hours, at most a week.

    Raises:
        NotAllowed, ArmingInvalid: see each; nothing was changed.
    """
    require_right(by, "cluster.arm")
    _check_pair(cluster, tier)
    if not 0 < hours <= MAX_ARMED_HOURS:
        raise ArmingInvalid(f"Arm for more than 0 and at most {MAX_ARMED_HOURS:g} hours.")
    now = timezone.now()
    values = {
        "armed_by": by.get_username(),
        "armed_at": now,
        "expires_at": now + timedelta(hours=hours),
    }
    arming, _ = Arming.objects.update_or_create(cluster=cluster, tier=tier, defaults=values)
    _tell("arming", f"{cluster}/{tier}", now)
    _audit(by, "cluster.armed", "arming", f"{cluster}/{tier}", {"hours": hours})
    return arming


@transaction.atomic
def disarm(cluster: str, tier: str, *, by: User) -> None:
    """Take the permission back; an execution there pauses before its next write.

    Raises:
        NotAllowed: the user may not; nothing was changed.
    """
    require_right(by, "cluster.arm")
    Arming.objects.filter(cluster=cluster, tier=tier).delete()
    _tell("arming", f"{cluster}/{tier}", timezone.now())
    _audit(by, "cluster.disarmed", "arming", f"{cluster}/{tier}", {})


def engage_kill_switch(*, by: User, reason: str) -> None:
    """Stop every write of ours: executions stop before their next write and wait.

    Raises:
        NotAllowed: the user may not; nothing was changed.
    """
    _turn(by=by, engaged=True, reason=reason)


def release_kill_switch(*, by: User, reason: str = "") -> None:
    """Allow writes again; executions go on by themselves.

    Raises:
        NotAllowed: the user may not; nothing was changed.
    """
    _turn(by=by, engaged=False, reason=reason)


def is_killed() -> bool:
    """Whether the kill switch is engaged."""
    return KillSwitch.objects.filter(id=1, engaged=True).exists()


def is_armed(cluster: str, tier: str) -> bool:
    """Whether writes to this tier of this cluster are allowed now."""
    now = timezone.now()
    return Arming.objects.filter(cluster=cluster, tier=tier, expires_at__gt=now).exists()


@transaction.atomic
def _turn(*, by: User, engaged: bool, reason: str) -> None:
    require_right(by, "killswitch")
    now = timezone.now()
    values = {"engaged": engaged, "by": by.get_username(), "at": now, "reason": reason}
    KillSwitch.objects.update_or_create(id=1, defaults=values)
    _tell("killswitch", "1", now)
    action = "killswitch.engaged" if engaged else "killswitch.released"
    _audit(by, action, "killswitch", "1", {"reason": reason})


def _check_pair(cluster: str, tier: str) -> None:
    if not Cluster.objects.filter(id=cluster).exists():
        raise ArmingInvalid(f"The fleet names no cluster {cluster!r}.")
    if tier not in get_args(Tier):
        raise ArmingInvalid(f"There is no tier {tier!r}: {', '.join(get_args(Tier))}.")


def _tell(kind: str, key: str, at: datetime) -> None:
    publish(kind=kind, id=key, version=int(at.timestamp() * 1000))


def _audit(by: User, action: str, kind: str, key: str, detail: dict[str, object]) -> None:
    record_audit(
        actor=by.get_username(), action=action, object_kind=kind, object_id=key, detail=detail
    )
