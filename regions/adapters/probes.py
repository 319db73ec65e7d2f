"""Round-trip times as blackbox probes between regions measured them, from every metric source."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from infra_console.telemetry.errors import SourceError
from infra_console.telemetry.fragments import RTT, RTT_SEEN
from infra_console.telemetry.series import Answer
from infra_console.telemetry.sources import BoundSource, current_sources
from regions.core.rtt import Pair, RoundTrip

MAX_THREADS = 8


def probed(now: datetime) -> tuple[dict[Pair, RoundTrip], list[str]]:
    """The newest probe of every pair that any source knows, and what sources said that failed."""
    sources = current_sources()
    if not sources:
        return {}, []
    with ThreadPoolExecutor(min(len(sources), MAX_THREADS)) as threads:
        asked = list(threads.map(lambda source: _ask(source, now), sources))
    times: dict[Pair, RoundTrip] = {}
    for found in asked:
        if isinstance(found, str):
            continue
        for pair, time in found:
            if pair not in times or _age(time) < _age(times[pair]):
                times[pair] = time
    return times, [problem for problem in asked if isinstance(problem, str)]


def _age(time: RoundTrip) -> float:
    return float("inf") if time.age_s is None else time.age_s


def _ask(source: BoundSource, now: datetime) -> list[tuple[Pair, RoundTrip]] | str:
    try:
        seen = dict(_values(source.source.instant(RTT_SEEN, at=now)))
        trips = dict(_values(source.source.instant(RTT, at=now)))
    except SourceError as err:
        return f"{source.id}: {err.problem}"
    return [
        (pair, RoundTrip(1e3 * trip_s, "probe", max(0.0, now.timestamp() - seen[pair])))
        for pair, trip_s in trips.items()
        if pair in seen
    ]


def _values(answer: Answer) -> Iterator[tuple[Pair, float]]:
    for series in answer.series:
        pair = series.labels.get("region", ""), series.labels.get("target", "")
        if all(pair) and len(series.values) and series.values[-1] > 0.0:
            yield pair, float(series.values[-1])
