"""The compute domain's part of the first page."""

from collections.abc import Iterator

from django.urls import reverse

from infra_console.overview.cards import Alert, Card
from infra_console.overview.scope import Scope
from tiers.figures import ledger_bar
from tiers.models import CycleState
from tiers.queries import (
    TierSummary,
    latest_cycle,
    latest_freezes,
    ledger_summary,
    tier_summaries,
)

OLD = frozenset({"stale", "down"})


def tier_cards(scope: Scope) -> Card:
    """The tiers of the scope, with what is wrong about them."""
    tiers = tier_summaries(region=scope.region, tier=scope.tier)
    cycle = latest_cycle()
    alerts = tuple(_alerts(tiers, scope))
    if cycle and cycle.state in {CycleState.FROZEN, CycleState.FAILED}:
        alerts += (Alert("warn", cycle.verdict or f"The last cycle is {cycle.state}."),)
    alerts += tuple(Alert("warn", f.words) for f in latest_freezes(region=scope.region) if f.grows)
    return Card(
        key="tiers",
        template="tiers/cards.html",
        context={
            "tiers": tiers,
            "cycle": cycle,
            "ledger": ledger_bar(ledger_summary(region=scope.region)),
        },
        place="wide",
        live_kinds="fleet cycle",
        alerts=alerts,
        known=bool(tiers),
    )


def _alerts(tiers: list[TierSummary], scope: Scope) -> Iterator[Alert]:
    page = reverse("tiers:index") + scope.query()
    for summary in tiers:
        yield from _slo_alerts(summary, page)
        if (spare := summary.headroom_gpus) is not None and spare < 0:
            text = f"{summary.tier} is {-spare} GPUs below its floor"
            yield Alert("bad", text, page)
    if tiers and (state := _worst_state(tiers)):
        yield Alert("lost" if state == "down" else "warn", _STATE_WORDS[state], page)


def _slo_alerts(summary: TierSummary, page: str) -> Iterator[Alert]:
    """Each region over its SLO by its worst model, the worst region first."""
    over = [r for r in summary.regions if r.worst_slo_ratio is not None and r.worst_slo_ratio > 1]
    for region in sorted(over, key=lambda r: -(r.worst_slo_ratio or 0)):
        text = f"{region.worst_slo_model} answers at {region.worst_slo_ratio:.2f} × its p95 limit"
        yield Alert("bad", text, page)


_STATE_WORDS = {
    "down": "No cluster answers: the numbers below are the last ones seen, shrinking is frozen",
    "stale": "The last observation is old: check that workers and beat run",
    "partial": "Some clusters do not answer: totals are “at least”",
}


def _worst_state(tiers: list[TierSummary]) -> str:
    states = {summary.state for summary in tiers}
    return next((state for state in ("down", "stale", "partial") if state in states), "")
