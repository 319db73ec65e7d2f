"""The compute domain's sections of a report."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from infra_console.fleet.config import WorkloadConfig
from infra_console.reports.figures import lines
from infra_console.reports.sections import Column, Period, Picture, Section, counted, table
from infra_console.telemetry.queries import read_range
from infra_console.telemetry.series import Reading
from tiers.core.fleet_state import TIERS
from tiers.core.ledger import LEDGER_STATES
from tiers.forecast_scores import forecast_scores
from tiers.ledger_periods import standing
from tiers.models import FleetChange
from tiers.queries import current_facts
from tiers.timelines import tier_history

NO_FLEET = "no fleet is configured"
MOST_SHOWN = 25

UTILISATION = (
    Column(title="Tier"), Column(title="GPUs", format="number", unit="mean"),
    Column(title="Busy", format="number", unit="mean"),
    Column(title="Utilisation", format="percent"), Column(title="Highest", format="percent"),
    Column(title="Measured", format="percent"),
)  # fmt: skip
SLO = (
    Column(title="Model"), Column(title="First token within", format="ms", unit="ms"),
    Column(title="Share of requests", format="percent"), Column(title="Worst cluster"),
    Column(title="its share", format="percent"), Column(title="Measured", format="percent"),
)  # fmt: skip
SCORES = (
    Column(title="Tier"), Column(title="Ahead", format="count", unit="h"),
    Column(title="Error", format="percent"), Column(title="Last value's error", format="percent"),
    Column(title="Coverage of the 95 % band", format="percent"),
    Column(title="Judged", format="count"),
)  # fmt: skip
LEDGER = (
    Column(title="State"), Column(title="GPUs at the start", format="count"),
    Column(title="at the end", format="count"), Column(title="change", format="count"),
)  # fmt: skip
CHANGES = (
    Column(title="When (UTC)", format="time"), Column(title="Cluster"), Column(title="What"),
    Column(title="By"),
)  # fmt: skip


def utilisation(period: Period) -> Section:
    """GPUs held and busy by tier: means, the highest point, and the curve."""
    found = {
        tier: tier_history(tier, start=period.start, end=period.end, step_s=period.step_s)
        for tier in TIERS
    }
    shares = {tier: _ratio(h.get("busy", ()), h.get("gpus", ())) for tier, h in found.items()}
    rows = [
        (tier, _mean(h.get("gpus", ())), _mean(h.get("busy", ())),
         _ratio_of_means(h.get("busy", ()), h.get("gpus", ())),
         max((s for s in shares[tier] if s is not None), default=None), _known(shares[tier]))
        for tier, h in found.items()
    ]  # fmt: skip
    times: list[float] = next((h["times"] for h in found.values() if h["times"]), [])
    picture = Picture(
        name="utilisation", title="Busy share of each tier's GPUs",
        alt="; ".join(f"{row[0]} {_words(row[3])}" for row in rows),
        figure=lines(times, {t: s for t, s in shares.items() if _known(s)}, axis="busy share",
                     percent=True),
    )  # fmt: skip
    return Section(
        key="utilisation", title="Utilisation by tier",
        tables=(table("Over the whole period", UTILISATION, rows),),
        pictures=(picture,) if any(_known(s) for s in shares.values()) else (),
        missing=tuple(dict.fromkeys(_history_problems(found))),
    )  # fmt: skip


def _history_problems(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for tier, history in found.items():
        if history["problem"]:
            yield str(history["problem"])
        if history["missing"]:
            yield f"{tier}: nothing in this period of {', '.join(history['missing'])}"


def slo_share(period: Period) -> Section:
    """The share of requests whose first token came within the model's limit."""
    facts = current_facts()
    if facts is None:
        return Section(key="slo", title="SLO share by model", missing=(NO_FLEET,))
    served = [w for w in facts.workloads.values() if w.slo_ttft_p95_ms]
    arrivals = read_range("arrivals_rps", start=period.start, end=period.end, step_s=period.step_s)
    readings = {
        ms: read_range(
            "ttft_within_slo", start=period.start, end=period.end, step_s=period.step_s,
            le=ms / 1000,
        )
        for ms in sorted({w.slo_ttft_p95_ms for w in served if w.slo_ttft_p95_ms})
    }  # fmt: skip
    rows = [_slo_row(w, readings[w.slo_ttft_p95_ms or 0.0], arrivals) for w in served]
    errors = [r.error for r in (arrivals, *readings.values()) if r.error]
    return Section(
        key="slo", title="SLO share by model",
        sentences=("Weighted by arrivals; a window without a request counts for nothing.",),
        tables=(table("Requests within their limit", SLO, rows, empty="No model has a limit."),),
        missing=tuple(dict.fromkeys(errors)),
    )  # fmt: skip


def _slo_row(workload: WorkloadConfig, within: Reading, arrivals: Reading) -> tuple[Any, ...]:
    model = workload.model or workload.id
    good: dict[str, float] = {}
    asked: dict[str, float] = {}
    known, points = 0, 0
    for series in within.select(model_name=model):
        cluster = series.labels.get("cluster", "")
        came = arrivals.one(cluster=cluster, model_name=model)
        points += len(series.values)
        if came is None:
            continue
        both = ~np.isnan(series.values) & ~np.isnan(came.values)
        known += int(both.sum())
        asked[cluster] = float(came.values[both].sum())
        good[cluster] = float((series.values[both] * came.values[both]).sum())
    shares = {c: good[c] / asked[c] for c in good if asked[c]}
    worst = min(shares, key=lambda c: shares[c], default=None)
    total = sum(asked.values())
    return (
        model, workload.slo_ttft_p95_ms, sum(good.values()) / total if total else None, worst,
        shares[worst] if worst else None, known / points if points else 0.0,
    )  # fmt: skip


def forecasts(period: Period) -> Section:
    """How far forecasts were off, beside the last value known then, and how wide enough."""
    title = "Forecast error and coverage"
    facts = current_facts()
    if facts is None:
        return Section(key="forecasts", title=title, missing=(NO_FLEET,))
    scores, unjudged, unread = forecast_scores(facts, start=period.start, end=period.end)
    missing = [f"{unjudged} forecasts have no outcome to be judged by"] if unjudged else []
    if unread:
        missing.append(f"{len(unread)} series have no history: {next(iter(unread.values()))}")
    rows = [(s.tier, s.horizon_h, s.error, s.last_error, s.coverage, s.judged) for s in scores]
    return Section(
        key="forecasts", title=title,
        sentences=(
            "Error is the sum of misses over the sum of what came; forecasts are kept three days.",
        ),
        tables=(table("By tier", SCORES, rows, empty="No forecast fell due in this period."),),
        missing=tuple(missing),
    )  # fmt: skip


def ledger_changes(period: Period) -> Section:
    """GPUs by state at both ends of the period, and what changed in the clusters meanwhile."""
    before, after = standing(at=period.start), standing(at=period.end)
    known = bool(before)
    rows = [
        (state, before[state] if known else None, after[state],
         after[state] - before[state] if known else None)
        for state in LEDGER_STATES
        if before[state] or after[state]
    ]  # fmt: skip
    seen = FleetChange.objects.filter(at__range=(period.start, period.end))
    planned = seen.exclude(plan=None).count()
    total = seen.count()
    newest = [
        (c.at.strftime("%Y-%m-%d %H:%M"), c.cluster, f"{c.object}: {c.words}",
         f"plan {c.plan}" if c.plan else "not by a plan")
        for c in seen[:MOST_SHOWN]
    ]  # fmt: skip
    changes = table(f"Newest {MOST_SHOWN} changes", CHANGES, newest, empty="Nothing was seen.")
    return Section(
        key="ledger", title="Changes of the ledger",
        sentences=(f"Seen in the clusters: {counted(total, 'change')}, {planned} by plans.",),
        tables=(
            table("GPUs by state", LEDGER, rows, empty="The ledger is empty."),
            changes.model_copy(update={"more": max(0, total - MOST_SHOWN)}),
        ),
        missing=() if known else ("the ledger does not reach back to the period's start",),
    )  # fmt: skip


# --- sums that skip nothing silently ---------------------------------------------------------


def _ratio(busy: Sequence[float | None], gpus: Sequence[float | None]) -> list[float | None]:
    return [
        None if b is None or not g else min(1.0, b / g) for b, g in zip(busy, gpus, strict=False)
    ]


def _ratio_of_means(busy: Sequence[float | None], gpus: Sequence[float | None]) -> float | None:
    """Busy GPU-time over GPU-time, where both are known."""
    both = [(b, g) for b, g in zip(busy, gpus, strict=False) if b is not None and g is not None]
    held = sum(g for _, g in both)
    return min(1.0, sum(b for b, _ in both) / held) if held else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _known(values: Sequence[float | None]) -> float:
    return sum(v is not None for v in values) / len(values) if values else 0.0


def _words(share: Any) -> str:
    return "unknown" if share is None else f"{share:.0%}"
