"""Why a change to a plan was refused. Each says what failed, what still holds, what to do next."""

from collections.abc import Sequence
from datetime import datetime

from infra_console.cluster.errors import ClusterError, ClusterUnavailable


class PlanError(Exception):
    """Base of all refusals: nothing has been changed."""


class PlanMissing(PlanError):
    def __init__(self, plan_id: object) -> None:
        super().__init__(f"There is no plan {plan_id}. Look it up in the list of plans.")


class NotAllowed(PlanError):
    """The person lacks a right; `right` is its name and `missing` says who holds it."""

    def __init__(self, right: str, missing: str) -> None:
        super().__init__(f"This {missing}. Nothing was changed; ask somebody who holds it.")
        self.right = right


class AuthorMayNotApprove(PlanError):
    def __init__(self, number: int) -> None:
        super().__init__(
            f"You are an author of plan {number}, and an author never approves their own plan. "
            "It stays open; ask a colleague who may approve."
        )


class PlanChanged(PlanError):
    def __init__(self, number: int) -> None:
        super().__init__(
            f"Plan {number} is not the one that you saw: its hash differs. "
            "Nothing was approved; read it again and decide anew."
        )


class PlanExpired(PlanError):
    def __init__(self, number: int) -> None:
        super().__init__(
            f"Plan {number} has expired: what it was computed from is too old. "
            "Nothing was changed; the next cycle proposes anew if the change is still worth it."
        )


class ReasonMissing(PlanError):
    def __init__(self) -> None:
        super().__init__(
            "Say why: a reason is kept in the audit trail. Nothing was changed; "
            "decide again with a reason."
        )


class AlreadyDecided(PlanError):
    def __init__(self, number: int) -> None:
        super().__init__(
            f"You have already decided on plan {number}; each approval is by another person. "
            "Nothing was changed; take your approval back first to decide anew."
        )


class NothingToTakeBack(PlanError):
    def __init__(self, number: int) -> None:
        super().__init__(f"No approval of yours stands on plan {number}. Nothing was changed.")


class TooLateToTakeBack(PlanError):
    def __init__(self, number: int) -> None:
        super().__init__(
            f"The time to take back the approval of plan {number} is over, and it may start. "
            "Nothing was changed; withdraw the plan, or pause or abort its execution."
        )


class StartInvalid(PlanError):
    def __init__(self, number: int, expires_at: datetime) -> None:
        super().__init__(
            f"Plan {number} may start between now and {expires_at:%Y-%m-%d %H:%M:%S} UTC, when it "
            "expires. Nothing was approved; choose a time before that, or none."
        )


class NothingToRatify(PlanError):
    def __init__(self, number: int) -> None:
        super().__init__(f"Nothing about plan {number} waits to be ratified.")


class MayNotRatify(PlanError):
    def __init__(self, number: int) -> None:
        super().__init__(
            f"Whoever broke the glass for plan {number}, or is its author, does not ratify it. "
            "It stays open; ask a colleague who may approve."
        )


class CommentEmpty(PlanError):
    def __init__(self, longest: int) -> None:
        super().__init__(f"A comment has 1 to {longest} characters. Nothing was kept.")


class WrongState(PlanError):
    """The plan is not where this action starts; `current` is where it is."""

    def __init__(self, number: int, current: str, wanted: str) -> None:
        super().__init__(
            f"Plan {number} is {current}, so it cannot become {wanted}. "
            "Nothing was changed; reload to see what happened."
        )
        self.current = current


class UnknownStepKind(PlanError):
    def __init__(self, kinds: Sequence[str]) -> None:
        super().__init__(
            f"No step kind {', '.join(kinds)} is installed, so the plan was not kept. "
            "Name it in settings.PLAN_STEP_KINDS."
        )
        self.kinds = tuple(kinds)


class SpecInvalid(PlanError):
    """The document contradicts itself; it was not kept."""


class Drifted(PlanError):
    """What the plan relies on has changed since; `changes` are lines for people."""

    def __init__(self, changes: Sequence[str]) -> None:
        super().__init__(f"{describe_drift(changes)}. Nothing was written; plan again.")
        self.changes = tuple(changes)


class LockHeld(PlanError):
    """Another plan works there; `by` is its number."""

    def __init__(self, cluster: str, tier: str, by: int) -> None:
        super().__init__(
            f"Plan {by} is working on {cluster}/{tier}. This plan stays approved and starts when "
            "that one has ended."
        )
        self.by = by


class FreezeInvalid(PlanError):
    """The freeze window cannot be kept as it was written."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem} Nothing was kept.")


class EnvelopeInvalid(PlanError):
    """The envelope cannot be kept as it was written."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem} Nothing was kept.")


class EnvelopeMissing(PlanError):
    def __init__(self, envelope_id: int) -> None:
        super().__init__(f"There is no envelope {envelope_id}. Look it up in the list of them.")


class OwnEnvelope(PlanError):
    def __init__(self, envelope_id: int) -> None:
        super().__init__(
            f"You proposed envelope {envelope_id}, and nobody approves their own. "
            "It stays proposed; ask a colleague who may manage envelopes."
        )


class EnvelopeClosed(PlanError):
    def __init__(self, envelope_id: int, state: str) -> None:
        super().__init__(
            f"Envelope {envelope_id} is {state}. Nothing was changed; reload to see what happened."
        )


class NotOwned(PlanError):
    """This console may not write to a cluster now."""

    def __init__(self, cluster: str, why: str) -> None:
        super().__init__(f"Nothing is written to {cluster}: {why}.")
        self.cluster = cluster


class RollbackRefused(PlanError):
    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"Plan {number} cannot be rolled back: {why}. Nothing was changed.")


class FieldUnusable(PlanError):
    """A value in a file of a repository that cannot be found, or not be changed by itself."""


class RepositoryUnavailable(ClusterUnavailable):
    """Git gave no usable answer; as with a cluster, look before writing again."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"repository {name}", problem, retry_after_s=10.0)


class RepositoryRefused(ClusterError):
    """Git knows us and says no, or the repository is not ours to use."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"repository {name}", problem)


class ArmingInvalid(PlanError):
    """The cluster, tier or duration cannot be armed."""


def describe_drift(changes: Sequence[str]) -> str:
    """Such as "3 facts changed: eastus node a: ready is False, was True; …"."""
    noun = "fact" if len(changes) == 1 else "facts"
    more = f"; and {len(changes) - 5} more" if len(changes) > 5 else ""
    return f"{len(changes)} {noun} changed: {'; '.join(changes[:5])}{more}"
