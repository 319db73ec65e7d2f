"""What a step is: an idempotent operation on one object, tried until it is done.

`run` reads, writes what is missing, and reads again; called twice it has the effect of once, and
what already stands is `Done` without a write. `rehearse` asks the server to check the same writes
and persist nothing. A domain adds a kind by naming its class in settings.PLAN_STEP_KINDS.

Every write goes through `StepContext.write`: it proves the lease, the plan's state, the arming and
the kill switch, and keeps an audit row before and after. Errors of infra_console.cluster may be
let through: what may pass is tried again, what may not stops the plan.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from infra_console.plans.holding.guards import GuardRail
from infra_console.plans.spec import ObjectRef, StepSpec

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do; `detail` is what the timeline shows."""

    detail: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet: try again after `retry_s` seconds; `reason` is shown meanwhile."""

    reason: str
    retry_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Blocked:
    """A person must look: the plan pauses."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The step cannot succeed: the plan ends, our cordons are lifted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The plan itself says that the step is left out as things are: its object stays as it is, and
    is not verified."""

    reason: str


Outcome = Done | Waiting | Blocked | Failed | Skipped


@dataclass(frozen=True, slots=True)
class StepContext:
    """One try of one step.

    `prior` is what stood there before our first write, None until `keep_prior` is called. Call it
    before that write: an object without a `prior` must still be as the plan found it, or the plan
    ends. `attempts` counts tries, this one included. `guards` checks floors and budgets on fresh
    reads.
    """

    plan_id: str
    epoch: int
    target: ObjectRef
    tier: str
    params: Mapping[str, Any]
    attempts: int
    prior: Mapping[str, Any] | None
    tier_key: str
    guards: GuardRail
    dry_run: bool
    authorised_write: Callable[[str, Callable[[], Any]], Any]
    keep_prior: Callable[[Mapping[str, Any]], None]

    @property
    def cluster(self) -> str:
        return self.target.cluster

    def write(self, what: str, call: Callable[[], Result]) -> Result:
        """Perform one write, if writing is still allowed, between two audit rows."""
        result: Result = self.authorised_write(what, call)
        return result


@dataclass(frozen=True, slots=True)
class Undo:
    """One step of the way back. `params` are joined by `prior`, what stood there before, once the
    step that is undone has kept it. `while_held` is for what ends with the plan by itself; `about`
    names the part of the object, where a plan may change several parts of one."""

    kind: str
    title: str
    tier: str
    params: Mapping[str, Any]
    while_held: bool = False
    about: str = ""


class StepKind(Protocol):
    """One kind of step; instances keep no state between calls.

    `undo` says, before anything is done, which steps take it back, in their order; none when there
    is nothing to take back. A kind with `side_by_side = True` may be tried at once with others of
    its wave, from several threads: it takes nothing away that a guard counts, and does not rest on
    the order within the wave.
    """

    def run(self, step: StepContext) -> Outcome: ...

    def rehearse(self, step: StepContext) -> Outcome: ...

    def undo(self, step: StepSpec) -> Sequence[Undo]: ...
