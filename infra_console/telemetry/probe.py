"""A thorough look at one source: what works, what is missing, and since when.

It asks the source itself when something was last there; how long the source has been silent is
remembered by services.py. Costs about a dozen small queries.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from infra_console.telemetry.ages import (
    SKEW_S,
    WINDOW_S,
    ages_from_up,
    cluster_freshness,
    exporters_missing,
    targets_from_up,
)
from infra_console.telemetry.catalogue import CATALOGUE, fallback_query, main_query, spec_of
from infra_console.telemetry.doubts import Doubt, Witnesses, doubts_of, witnesses_of
from infra_console.telemetry.errors import SourceBudgetSpent, SourceError
from infra_console.telemetry.fragments import EXPORTERS, VLLM, scrapes_query
from infra_console.telemetry.series import Answer, Freshness, RawSeries
from infra_console.telemetry.sources import BoundSource

LOOK_BACK = timedelta(hours=24)
STEP_S = 900.0
DOUBT_STEP_S = 300.0
HISTORY_DAYS = 28
# What pages and planner cannot do without; a cluster that serves no model has no vLLM.
NEEDED = ("nodes_total", "gpus_requested", "gpus_present", "gpus_busy", "arrivals_rps",
          "node_labels", "pod_info")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `since` is when it was last there, where that is known."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    since: datetime | None = None


def examine(bound: BoundSource, *, now: datetime) -> list[Finding]:
    """Everything about one source; when it does not answer, that alone."""
    try:
        budget = _budget(bound)
        ahead_s = (bound.source.ready() - now).total_seconds()
        up = bound.source.window(scrapes_query(bound.jobs), at=now, window_s=WINDOW_S)
        return [
            _clock(ahead_s, up),
            budget,
            _clusters(bound, up, now),
            _exporters(bound, up, now),
            *_rules_and_series(bound, now),
            *_doubts(bound, up, now),
            *_history(bound, now),
        ]
    except SourceError as err:
        remedy = (
            "raise its budget, or ask for less: fewer pages and workers, recording rules"
            if isinstance(err, SourceBudgetSpent)
            else "check that it runs and that its address is reachable from here"
            if err.retryable
            else "check its address, version, credentials and access rights"
        )
        return [Finding("answers", ok=False, detail=err.problem, remedy=remedy)]


def _clock(ahead_s: float, up: Answer) -> Finding:
    if abs(ahead_s) > SKEW_S:
        side = "ahead of" if ahead_s > 0 else "behind"
        detail = f"its clock is {abs(ahead_s):.0f} s {side} ours"
        return Finding("answers", False, detail, "ages cannot be told: set both clocks by NTP")
    if up.warnings:
        detail = f"it answers in part: {'; '.join(up.warnings)}"
        return Finding("answers", False, detail, "see which of its stores or queriers is away")
    return Finding("answers", True, "it answers, and its clock agrees with ours")


def _budget(bound: BoundSource) -> Finding:
    """What was fetched in the last minute, and whether a cap stretches the readings."""
    pace = bound.pace
    used = f"{(pace.used + pace.others).words} in the last minute"
    if not pace.caps.any:
        return Finding("budget", True, f"{used}; no cap is set")
    if words := pace.words or pace.others_words:
        return Finding("budget", False, f"{words} ({used})", "raise it, or load recording rules")
    return Finding("budget", True, f"{used}; capped at {pace.caps.words}, 0 being no cap")


def _clusters(bound: BoundSource, up: Answer, now: datetime) -> Finding:
    ages = ages_from_up(up, at_s=now.timestamp())
    states = {
        cluster: cluster_freshness(
            ages, cluster=cluster, scrape_interval_s=bound.scrape_interval_s
        ).state
        for cluster in bound.clusters
    }
    old = sorted(c for c, state in states.items() if state is not Freshness.LIVE)
    detail = f"{len(states) - len(old)} of {len(states)} clusters live"
    if not old:
        return Finding("clusters", bool(states), detail or "it owns no cluster")
    strange = sorted({s.labels.get("cluster", "") for s in up.series} - bound.clusters)
    said = f"; not live: {', '.join(f'{c} ({states[c]})' for c in old)}"
    if strange:
        said += f"; its series carry the label cluster = {', '.join(c or 'none' for c in strange)}"
    return Finding(
        "clusters", False, detail + said,
        "every target needs the label `cluster`; see the source's target page",
        # When all of its targets last answered.
        since=_last_seen(bound, f"min by (cluster) ({scrapes_query(bound.jobs)}) == 1", old, now),
    )  # fmt: skip


def _exporters(bound: BoundSource, up: Answer, now: datetime) -> Finding:
    """Numbers of an exporter that no job is known as count as down. A cluster that serves no model
    has no vLLM."""
    ages = ages_from_up(up, at_s=now.timestamp())
    unknown = {
        cluster: missing
        for cluster in sorted(bound.clusters)
        if (
            missing := exporters_missing(
                ages, cluster=cluster, exporters=EXPORTERS, jobs=bound.jobs
            )
        )
    }
    bad = any(name != VLLM for names in unknown.values() for name in names)
    lacks = "; ".join(f"{c} has no job called {' or '.join(names)}" for c, names in unknown.items())
    return Finding(
        "exporters",
        ok=not bad,
        detail=lacks or f"every cluster has jobs of {', '.join(EXPORTERS)}",
        remedy="let the names of their jobs contain these words, or name yours in `jobs`:"
        " docs/connect.md"
        if bad
        else "",
        since=_last_exporter(bound, unknown, now) if bad else None,
    )


def _last_exporter(
    bound: BoundSource, unknown: dict[str, list[str]], now: datetime
) -> datetime | None:
    seen = [
        _last_seen(bound, _any(scrapes_query({name: bound.jobs[name]})), [cluster], now)
        for cluster, names in unknown.items()
        for name in names
        if name != VLLM
    ]
    return max((at for at in seen if at), default=None)


def _any(selector: str) -> str:
    return f"count by (cluster) ({selector})"


def _rules_and_series(bound: BoundSource, now: datetime) -> Iterator[Finding]:
    """Whether the recording rules are there, and which numbers are, by rule or from raw series."""
    rule = main_query(spec_of("nodes_total"), {})
    recorded = bound.source.instant(rule, at=now).series
    yield Finding(
        "recording rules",
        ok=bool(recorded),
        detail="installed"
        if recorded
        else "cluster:nodes:count has no series: numbers are computed from raw series, which is "
        "slower, and reaches back only as far as these are kept",
        remedy="" if recorded else "load deploy/prometheus/rules.yml at the source",
        since=None if recorded else _last_seen(bound, _any(rule), (), now),
    )
    absent = [name for name in NEEDED if not _has_series(bound, name, now)]
    needed = f"{len(NEEDED) - len(absent)} of {len(NEEDED)} numbers that planning needs are there"
    yield Finding(
        "numbers",
        ok=not absent,
        detail=needed + (f"; without series: {', '.join(absent)}" if absent else ""),
        remedy="they stay unknown; see docs/connect.md for what each exporter needs"
        if absent
        else "",
        since=_last_seen(bound, _any(main_query(spec_of(absent[0]), {})), (), now)
        if absent
        else None,
    )


def _last_number(bound: BoundSource, name: str, now: datetime) -> datetime | None:
    return _last_seen(bound, _any(main_query(spec_of(name), {})), (), now)


def _has_series(bound: BoundSource, name: str, now: datetime) -> bool:
    spec = CATALOGUE[name]
    queries = (main_query(spec, {}), fallback_query(spec, {}))
    try:
        return any(bound.source.instant(query, at=now).series for query in queries if query)
    except SourceError as err:
        if err.retryable:
            raise
        return False


def _doubts(bound: BoundSource, up: Answer, now: datetime) -> Iterator[Finding]:
    """What is doubted of each exporter, and when it was last told without a doubt."""
    spec = spec_of("witnesses")
    try:
        told = bound.source.instant(main_query(spec, {}), at=now)
        if not told.series:
            told = bound.source.instant(fallback_query(spec, {}), at=now)
    except SourceError as err:
        yield Finding("witnesses", False, err.problem, "load deploy/prometheus/rules.yml")
        return
    targets = targets_from_up(up, at_s=now.timestamp(), recent_s=bound.recent_s)
    for key, found in _of_all(bound, witnesses_of(told), targets).items():
        grave = _is_grave(found)
        yield Finding(
            f"{key[1]} in {key[0]}",
            not grave,
            "; ".join(doubt.why for doubt in found),
            "see the exporter's log" if grave else "",
            since=_last_well(bound, key, now) if grave else None,
        )


def _of_all(
    bound: BoundSource, witnesses: Witnesses, targets: Mapping[tuple[str, str], tuple[int, int]]
) -> dict[tuple[str, str], tuple[Doubt, ...]]:
    doubts: dict[tuple[str, str], tuple[Doubt, ...]] = {}
    for cluster in sorted(bound.clusters):
        doubts |= doubts_of(
            witnesses, targets, cluster=cluster, jobs=bound.jobs,
            scrape_interval_s=bound.scrape_interval_s,
        )  # fmt: skip
    return doubts


def _is_grave(doubts: tuple[Doubt, ...]) -> bool:
    return any(doubt.state is not Freshness.LIVE for doubt in doubts)


def _last_well(bound: BoundSource, key: tuple[str, str], now: datetime) -> datetime | None:
    """The last of the past day's moments whose recorded witnesses raise no doubt."""
    query = main_query(spec_of("witnesses"), {"cluster": key[0]})
    try:
        answer = bound.source.range(query, start=now - LOOK_BACK, end=now, step_s=DOUBT_STEP_S)
    except SourceError:
        return None
    moments = sorted({float(t) for series in answer.series for t in series.times}, reverse=True)
    for at_s in moments:
        then = Answer(tuple(_at(series, at_s) for series in answer.series if at_s in series.times))
        if not _is_grave(_of_all(bound, witnesses_of(then), {}).get(key, ())):
            return datetime.fromtimestamp(at_s, UTC)
    return None


def _at(series: RawSeries, at_s: float) -> RawSeries:
    one = series.times == at_s
    return RawSeries(series.labels, series.times[one], series.values[one])


def _history(bound: BoundSource, now: datetime) -> Iterator[Finding]:
    """How far back the series reach that forecasts learn from."""
    query = main_query(spec_of("nodes_total"), {})
    start = now - timedelta(days=HISTORY_DAYS)
    try:
        answer = bound.source.range(query, start=start, end=now, step_s=6 * 3600.0)
    except SourceError:
        return
    firsts = [float(s.times[0]) for s in answer.series if len(s.times)]
    if firsts:
        days = (now.timestamp() - min(firsts)) / 86400
        yield Finding("history", True, f"recorded series reach back {days:.1f} days")


def _last_seen(
    bound: BoundSource, query: str, clusters: Sequence[str], now: datetime
) -> datetime | None:
    """When one of these clusters last had a series of the query in the past day, else None."""
    try:
        answer = bound.source.range(query, start=now - LOOK_BACK, end=now, step_s=STEP_S)
    except SourceError:
        return None
    last = [
        float(series.times[np.isfinite(series.values)][-1])
        for series in answer.series
        if np.isfinite(series.values).any()
        and (not clusters or series.labels.get("cluster", "") in clusters)
    ]
    return datetime.fromtimestamp(max(last), UTC) if last else None
