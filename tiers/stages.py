"""The stages of one cycle: check the inputs, forecast, allocate, propose.

A cluster whose metrics are too old, or whose API did not answer, is frozen: it is left out and
named, and the others go on. Where a part of its metrics is missing it only grows. "No change is
worth its price" is an ordinary verdict.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter
from typing import Any

from infra_console.telemetry.queries import fleet_freshness
from tiers.core.allocate import allocate
from tiers.core.fleet_state import FleetState
from tiers.core.freezing import (
    frozen_verdict,
    frozen_words,
)
from tiers.demand import demand_now, keep_measured
from tiers.facts import FleetFacts
from tiers.forecasting import ModelLoader, forecast_fleet, keep_forecasts
from tiers.freezing import (
    find_freezes,
    frozen_lines,
    with_unknown_demand,
)
from tiers.last_changes import changed_s_ago
from tiers.models import Cycle, CycleState
from tiers.policy import Course
from tiers.proposals import (
    MIN_GAIN_USD,
    Ground,
    Proposed,
    money_of,
    plan_line,
    propose,
    propose_growth,
)
from tiers.snapshots import keep_snapshot, snapshot_of
from tiers.waiting_gangs import gang_words, waiting_gangs


@dataclass(frozen=True, slots=True)
class CycleInputs:
    facts: FleetFacts
    state: FleetState
    now: datetime
    authors: Sequence[str]
    load_model: ModelLoader
    course: Course | None = None  # the point of the frontier that is followed


@dataclass(frozen=True, slots=True)
class CycleOutcome:
    state: CycleState
    verdict: str
    document: dict[str, Any]


@dataclass(slots=True)
class _Clock:
    """Seconds each stage took, for the page and the command."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=perf_counter)

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.seconds[stage] = round(now - self._since, 3)
        self._since = now


def run_stages(cycle: Cycle, inputs: CycleInputs, at_stage: Callable[[str], None]) -> CycleOutcome:
    """Carry one cycle through; every number in the outcome's document comes from its inputs."""
    clock = _Clock()
    freshness = fleet_freshness()
    freezes = find_freezes(inputs.facts, inputs.state, freshness)
    document: dict[str, Any] = {
        "seconds": clock.seconds,
        "freshness": {"state": str(freshness.state), "age_s": freshness.age_s},
        "plans": [],
        **frozen_lines(cycle, freezes, now=inputs.now),
    }
    clock.lap("telemetry")
    if freezes.all_closed(inputs.facts.cluster_ids):
        return CycleOutcome(CycleState.FROZEN, frozen_verdict(freezes), document)
    at_stage("forecast")
    book = forecast_fleet(inputs.facts, now=inputs.now, load_model=inputs.load_model)
    keep_forecasts(cycle, book)
    freezes = with_unknown_demand(freezes, inputs.facts, inputs.state, book)
    document |= frozen_lines(cycle, freezes, now=inputs.now)
    document["forecast"] = book.summary()
    clock.lap("forecast")
    state = FleetState({c: s for c, s in inputs.state.clusters.items() if freezes.is_open(c)})
    if not state.clusters and not freezes.doubted:
        return CycleOutcome(CycleState.FROZEN, frozen_verdict(freezes), document)
    keep_measured(inputs.facts, now=inputs.now)
    whole = Ground(
        cycle, inputs.facts, inputs.authors, inputs.now, book, freshness,
        demand_now(inputs.facts, now=inputs.now),
    )  # fmt: skip
    proposed = Proposed()
    if state.clusters:
        at_stage("allocate")
        forecast = snapshot_of(
            inputs.facts, state, book, now=inputs.now, demand_now=whole.demand,
            gangs=waiting_gangs(inputs.facts, state.clusters),
            changed_s_ago=changed_s_ago(inputs.facts, now=inputs.now),
        )  # fmt: skip
        snapshot = forecast
        if inputs.course:
            followed, document["course"] = inputs.course.followed(forecast)
            snapshot, whole = followed.snapshot, replace(whole, course=document["course"]["words"])
        allocation = allocate(snapshot, min_gain_usd=MIN_GAIN_USD)
        keep_snapshot(cycle, forecast, allocation)
        document["allocation"] = money_of(allocation)
        document["gangs"] = gang_words(snapshot, allocation)
        document["held"] = [held.words for held in allocation.held]
        document["fallbacks"] = [f.words() for f in allocation.fallbacks if not f.step]
        whole = replace(whole, gangs=document["gangs"])
        clock.lap("allocate")
        at_stage("propose")
        propose(proposed, whole, state, snapshot, allocation)
    at_stage("propose")
    for cluster, why in freezes.doubted.items():
        propose_growth(
            proposed, replace(whole, doubt=why, course="", gangs={}), inputs.state.clusters[cluster]
        )
    document["plans"] = [plan_line(plan) for plan in proposed.plans]
    document["notes"] = proposed.notes
    document["withheld"] = proposed.withheld
    clock.lap("propose")
    return CycleOutcome(CycleState.DONE, _verdict(document), document)


def _verdict(document: Mapping[str, Any]) -> str:
    plans, withheld = document["plans"], document["withheld"]
    if plans:
        text = f"{len(plans)} {'plan' if len(plans) == 1 else 'plans'} proposed"
    elif withheld:
        text = f"{len(withheld)} {'change' if len(withheld) == 1 else 'changes'} held back"
    else:
        text = "No change is worth its price"
    text += frozen_words(document)
    if withheld:
        text += f"; {'; '.join(withheld[:3])}"
    return text + "."
