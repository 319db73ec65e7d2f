"""What may come of plans, in plain Python: the model that benchmarks.fault_machine is held to.

Nothing of the product is used here. A plan sets one object; it relies on the replicas that it found
when it was proposed. Its worker may die at a boundary: before and after the write, before and after
the record. `path` is every state that a plan must have passed, in order.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

NAMES = ("chat-a", "chat-b")
LEASE = timedelta(seconds=30)
LIFE = timedelta(hours=1)
GAIN_TOLERANCE = 0.2
DECIDED = ("proposed", "approved")


@dataclass(eq=False)
class Known:
    """What the model knows of one plan."""

    id: Any
    name: str
    to: int
    replicas: int
    gain: float
    ends: timedelta
    path: list[str] = field(default_factory=lambda: ["proposed"])
    leased_until: timedelta = timedelta(0)  # by a worker that died
    begun: bool = False  # what stood there before is kept, or the step has ended
    recorded: bool = False
    effects: int = 0

    @property
    def state(self) -> str:
        return self.path[-1]

    def __repr__(self) -> str:
        return f"{self.name}={self.to} ({self.state})"


class Model:
    """All plans, the objects that they set, and the time."""

    def __init__(self) -> None:
        self.now = timedelta(0)
        self.plans: list[Known] = []
        self.objects = dict.fromkeys(NAMES, 0)
        self.replicas = dict.fromkeys(NAMES, 1)

    def of_state(self, *states: str) -> list[Known]:
        return [known for known in self.plans if known.state in states]

    def ordered(self) -> list[Known]:
        """What was approved once, whatever became of it."""
        return [known for known in self.plans if "approved" in known.path]

    def standing(self, name: str, to: int, gain: float) -> Known | None:
        """The plan that a proposal finds in its place: on its way, or under review on its terms."""
        same = [k for k in self.plans if (k.name, k.to) == (name, to)]
        if at_work := [k for k in same if k.state in ("approved", "executing")]:
            return at_work[0]
        kept = (
            k
            for k in same
            if k.state == "proposed"
            and not self.ran_out(k)
            and k.replicas == self.replicas[name]
            and abs(gain - k.gain) <= GAIN_TOLERANCE * k.gain
        )
        return next(kept, None)

    def proposed(self, plan_id: Any, name: str, to: int, gain: float) -> None:
        for open_plan in self.of_state("proposed"):
            open_plan.path.append("superseded")
        known = Known(plan_id, name, to, self.replicas[name], gain, ends=self.now + LIFE)
        self.plans.append(known)

    def may_approve(self, known: Known) -> bool:
        return known.state == "proposed" and not self.ran_out(known)

    def expire(self) -> int:
        due = [k for k in self.of_state(*DECIDED) if self.ran_out(k)]
        for known in due:
            known.path.append("expired")
        return len(due)

    def turn(self, known: Known, *, dies_at: int = 0) -> bool:
        """What a worker does to a plan, or does not; whether it died over it."""
        if known.state == "approved":
            return self._start(known, dies_at)
        if known.state == "executing" and self.now >= known.leased_until:
            return self._run(known, dies_at)
        return False

    def ran_out(self, known: Known) -> bool:
        return self.now >= known.ends

    def _start(self, known: Known, dies_at: int) -> bool:
        if self.ran_out(known):
            known.path.append("expired")
        elif self._has_drifted(known):
            known.path.append("void")
        elif not self.of_state("executing"):  # every plan needs the same lock
            known.path.append("executing")
            return self._run(known, dies_at)
        return False

    def _run(self, known: Known, dies_at: int) -> bool:
        if not known.begun and self._has_drifted(known):
            known.path.append("void")
            return False
        writes = not known.recorded and self.objects[known.name] != known.to
        boundaries = 0 if known.recorded else 4 if writes else 2
        died = 0 < dies_at <= boundaries
        reached = dies_at if died else boundaries
        if writes:
            self._write(known, took_effect=reached >= 2)
        known.recorded = known.recorded or reached == boundaries
        known.begun = known.begun or known.recorded
        if died:
            known.leased_until = self.now + LEASE
        else:
            known.path += ["verifying", "verified"]
        return died

    def _write(self, known: Known, *, took_effect: bool) -> None:
        known.begun = True
        if took_effect:
            self.objects[known.name] = known.to
            known.effects += 1

    def _has_drifted(self, known: Known) -> bool:
        return self.replicas[known.name] != known.replicas
