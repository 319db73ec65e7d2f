"""What must be true before anything of ours writes: rights, arming, the kill switch."""

from datetime import datetime, timedelta
from typing import get_args

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from infra_console.access.roles import Person, can, missing_right
from infra_console.audit.services import record_audit
from infra_console.fleet.models import Cluster
from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.errors import ArmingInvalid, NotAllowed
from infra_console.plans.models import Arming, KillSwitch
from infra_console.plans.places import is_own
from infra_console.plans.spec import Tier

MAX_ARMED_HOURS = 168  # a week


def require_right(user: Person, right: str) -> None:
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
    known = _known_cluster(cluster, tier)
    if not 0 < hours <= MAX_ARMED_HOURS:
        raise ArmingInvalid(f"Arm for more than 0 and at most {MAX_ARMED_HOURS} hours.")
    now = clock.now()
    values = {
        "context": known.context,
        "armed_by": by.get_username(),
        "armed_at": now,
        "expires_at": now + timedelta(hours=hours),
    }
    arming, _ = Arming.objects.update_or_create(cluster=cluster, tier=tier, defaults=values)
    _tell("arming", f"{cluster}/{tier}", now)
    detail = {"hours": hours, "context": known.context}
    _audit(by.get_username(), "cluster.armed", "arming", f"{cluster}/{tier}", detail)
    return arming


@transaction.atomic
def disarm(cluster: str, tier: str, *, by: User) -> None:
    """Take the permission back; an execution there pauses before its next write.

    Raises:
        NotAllowed: the user may not; nothing was changed.
    """
    require_right(by, "cluster.arm")
    Arming.objects.filter(cluster=cluster, tier=tier).delete()
    _tell("arming", f"{cluster}/{tier}", clock.now())
    _audit(by.get_username(), "cluster.disarmed", "arming", f"{cluster}/{tier}", {})


@transaction.atomic
def disarm_changed(*, by: str) -> int:
    """Disarm what the fleet no longer names, or names by another context; return how many."""
    changed = list(Arming.objects.exclude(_same_context()))
    for arming in changed:
        pair = f"{arming.cluster}/{arming.tier}"
        detail: dict[str, object] = {
            "why": f"the fleet file no longer leads to the context {arming.context!r}"
        }
        arming.delete()
        _tell("arming", pair, clock.now())
        _audit(by, "cluster.disarmed", "arming", pair, detail)
    return len(changed)


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


def armed_now() -> QuerySet[Arming]:
    """What may be written to now, of clusters that are still those that were armed."""
    return Arming.objects.filter(_same_context(), expires_at__gt=Now())


def is_armed(cluster: str, tier: str) -> bool:
    """Whether writes to this tier of this cluster are allowed now; a place of our own is not armed
    and always open."""
    return is_own(cluster) or armed_now().filter(cluster=cluster, tier=tier).exists()


def _same_context() -> Exists:
    """Whether an arming's cluster is known and has the context that was armed."""
    return Exists(Cluster.objects.filter(id=OuterRef("cluster"), context=OuterRef("context")))


@transaction.atomic
def _turn(*, by: User, engaged: bool, reason: str) -> None:
    require_right(by, "killswitch")
    now = clock.now()
    values = {"engaged": engaged, "by": by.get_username(), "at": now, "reason": reason}
    KillSwitch.objects.update_or_create(id=1, defaults=values)
    _tell("killswitch", "1", now)
    action = "killswitch.engaged" if engaged else "killswitch.released"
    _audit(by.get_username(), action, "killswitch", "1", {"reason": reason})


def _known_cluster(cluster: str, tier: str) -> Cluster:
    known = Cluster.objects.filter(id=cluster).first()
    if known is None:
        raise ArmingInvalid(f"The fleet names no cluster {cluster!r}.")
    if tier not in get_args(Tier):
        raise ArmingInvalid(f"There is no tier {tier!r}: {', '.join(get_args(Tier))}.")
    return known


def _tell(kind: str, key: str, at: datetime) -> None:
    publish(kind=kind, id=key, version=int(at.timestamp() * 1000))


def _audit(by: str, action: str, kind: str, key: str, detail: dict[str, object]) -> None:
    record_audit(actor=by, action=action, object_kind=kind, object_id=key, detail=detail)
