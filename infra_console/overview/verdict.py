"""The first sentence of the first page: is anything wrong, waiting, or about to change. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra_console.overview.cards import LEVELS, Alert
from infra_console.overview.looks import Tone


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sentence` is read first; `alerts` are what it sums up, worst first."""

    tone: Tone
    icon: str
    sentence: str
    alerts: tuple[Alert, ...] = ()


def judge(
    alerts: Sequence[Alert],
    *,
    known: bool,
    kill_switch: bool,
    waiting: int,
    executing: int,
) -> Verdict:
    """The verdict on one scope.

    Args:
        known: whether the fleet has been observed at all; without that nothing is called well.
        waiting: plans that wait for a decision.
        executing: plans being carried out now.
    """
    ordered = tuple(sorted(alerts, key=lambda a: LEVELS.index(a.level)))
    bad = [a for a in ordered if a.level != "warn"]
    if kill_switch:
        return Verdict("bad", "stop", "The kill switch is on: nothing is written.", ordered)
    if not known:
        return Verdict("quiet", "question", "The fleet has not been observed yet.", ordered)
    work = _work(waiting, executing)
    if bad:
        watched = len(ordered) - len(bad)
        more = f", {watched} more to watch" if watched else ""
        return Verdict("bad", "alert", f"{_things(len(bad))} wrong{more}{work}.", ordered)
    if ordered:
        return Verdict("warn", "alert", f"{_things(len(ordered))} to watch{work}.", ordered)
    if work:
        return Verdict("busy", "inbox", f"The fleet is well{work}.")
    return Verdict("good", "check", "The fleet is well, and nothing waits for you.")


def _things(count: int) -> str:
    return "One thing is" if count == 1 else f"{count} things are"


def _work(waiting: int, executing: int) -> str:
    parts = []
    if waiting:
        parts.append(f"{_plans(waiting, 'waits', 'wait')} for a decision")
    if executing:
        parts.append(f"{_plans(executing, 'is', 'are')} being carried out")
    return "; " + ", ".join(parts) if parts else ""


def _plans(count: int, one: str, many: str) -> str:
    return f"one plan {one}" if count == 1 else f"{count} plans {many}"
