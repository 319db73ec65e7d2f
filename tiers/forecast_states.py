"""What is wrong with the forecasts, a sentence each: what fails, what holds, what is next."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from infra_console.overview.templatetags.console import age
from tiers.models import ForecastModel
from tiers.queries import latest_cycle

Tone = Literal["error", "warning", "quiet"]


@dataclass(frozen=True, slots=True)
class Notice:
    tone: Tone
    key: str
    words: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """How many series of the scope began from a value older than `limit`, or have none."""

    stale: int
    series: int
    missing: int
    limit: timedelta


def model_in_force(learned: str) -> ForecastModel | None:
    """The network that the last cycle used; None when `learned` is a reason instead."""
    return ForecastModel.objects.filter(version=learned).first() if learned else None


def notices(
    configured: bool, old_s: float | None, inputs: Inputs, learned: str, *, made: bool
) -> Iterator[Notice]:
    """Every bad state that holds, worst first.

    Args:
        configured: whether a fleet is.
        old_s: age of forecasts older than two cycles, else None.
        made: whether any cycle made forecasts.
    """
    if not configured:
        yield Notice("warning", "no-fleet", "No fleet is configured: nothing can be forecast.")
        return
    if old_s is not None:
        yield _old(old_s)
    if inputs.missing:
        count = f"{inputs.missing} of {inputs.missing + inputs.series} series"
        yield Notice(
            "warning", "no-history",
            f"{count} have no forecast, each with its reason below. Their demand is unknown, not "
            "zero: clusters where one is missing only grow.",
        )  # fmt: skip
    if inputs.stale:
        yield Notice(
            "warning", "stale-input",
            f"{inputs.stale} of {inputs.series} forecasts begin from a value more than "
            f"{age(inputs.limit.total_seconds())} old: their metric source is late or was silent. "
            "After an hour without a value there is no forecast.",
        )  # fmt: skip
    yield from _model(learned, made=made)


def _old(old_s: float) -> Notice:
    words = f"These forecasts are {age(old_s)} old, more than two cycles. "
    cycle = latest_cycle()
    if cycle is not None and cycle.state != "done":
        words += f"The newest cycle is {cycle.state}: {cycle.verdict or cycle.stage} "
    return Notice(
        "error", "old",
        words + "They are shown dimmed, and no plan is proposed from them; “manage.py doctor” "
        "says what the workers lack.",
    )  # fmt: skip


def _model(learned: str, *, made: bool) -> Iterator[Notice]:
    newest = ForecastModel.objects.first()
    used = model_in_force(learned)
    if newest is not None and newest.state == "refused":
        instead = f"network {used.version}" if used else "the naive models and their mixture"
        yield Notice(
            "error", "refused",
            f"Network {newest.version} was refused: {newest.reason}. In its place: {instead}. "
            "The file is left as it is; a new training begins by itself within minutes.",
        )  # fmt: skip
    elif made and used is None:
        yield Notice(
            "quiet", "no-network",
            f"No network is in force: {learned}. The naive models and their mixture forecast.",
        )  # fmt: skip
