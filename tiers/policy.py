"""The standing policy: set, lifted, and followed by a cycle."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from infra_console.audit.services import record_audit
from infra_console.live.services import publish
from tiers.core.frontier.follow import Choice, Followed, follow
from tiers.core.snapshot import Snapshot
from tiers.errors import ReasonMissing
from tiers.models import StandingPolicy
from tiers.policy_models import assumption_words

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Course:
    """What a cycle follows, and who chose it; `standing` until it is changed."""

    choice: Choice
    by: str
    reason: str
    standing: bool

    def followed(self, snapshot: Snapshot) -> tuple[Followed, dict[str, Any]]:
        """The snapshot to plan from, and the line for the cycle's document."""
        found = follow(snapshot, self.choice)
        return found, {
            "by": self.by,
            "standing": self.standing,
            "reason": self.reason,
            "choice": self.choice.document(),
            "ratio": found.ratio,
            "words": self._words(found),
        }

    def _words(self, found: Followed) -> str:
        source = "the standing policy of" if self.standing else "the point chosen by"
        assumed = ", ".join(f"{k} {v}" for k, v in assumption_words(self.choice).items())
        text = (
            f"It follows {source} {self.by}: largest p95 at most "
            f"{self.choice.latency_ratio:.2f} × its objective"
        )
        text += f" ({assumed})" if assumed else ""
        text += f", because: {self.reason}" if self.reason else ""
        return f"{text}; {found.words}." if found.words else f"{text}."


def standing_policy() -> StandingPolicy | None:
    return StandingPolicy.objects.filter(ended_at=None).first()


def past_policies() -> list[StandingPolicy]:
    """Those that were replaced or lifted, newest first."""
    return list(StandingPolicy.objects.exclude(ended_at=None)[:SHOWN])


def course_of(chosen: dict[str, Any] | None, *, by: str) -> Course | None:
    """What a cycle follows: the point asked for this once, else the standing policy."""
    if chosen is not None:
        return Course(Choice.of(chosen["choice"]), by, chosen.get("reason", ""), standing=False)
    policy = standing_policy()
    if policy is None:
        return None
    return Course(policy.chosen, policy.set_by, policy.reason, standing=True)


@transaction.atomic
def set_policy(choice: Choice, *, by: str, reason: str) -> StandingPolicy:
    """Make a point the one that every cycle follows; the one before it ends.

    Raises:
        ReasonMissing: nobody said why; nothing was changed.
    """
    _end(by=by, reason=f"replaced: {reason.strip()}" if reason.strip() else "")
    policy = StandingPolicy.objects.create(
        choice=choice.document(), set_by=by, set_at=timezone.now(), reason=reason.strip()
    )
    _tell("policy.set", policy, by=by, reason=reason)
    return policy


@transaction.atomic
def lift_policy(*, by: str, reason: str) -> bool:
    """Plan by forecast and money alone again; false where no policy stood.

    Raises:
        ReasonMissing: nobody said why; nothing was changed.
    """
    policy = _end(by=by, reason=reason)
    if policy:
        _tell("policy.lifted", policy, by=by, reason=reason)
    return policy is not None


def _end(*, by: str, reason: str) -> StandingPolicy | None:
    if not reason.strip():
        raise ReasonMissing
    policy = StandingPolicy.objects.select_for_update().filter(ended_at=None).first()
    if policy:
        StandingPolicy.objects.filter(pk=policy.pk, ended_at=None).update(
            ended_by=by, ended_at=timezone.now(), ended_reason=reason.strip()
        )
    return policy


def _tell(action: str, policy: StandingPolicy, *, by: str, reason: str) -> None:
    record_audit(
        actor=by,
        action=action,
        object_kind="policy",
        object_id=str(policy.pk),
        detail={"choice": policy.choice, "reason": reason.strip()},
    )
    publish("cycle", "policy", policy.pk)
