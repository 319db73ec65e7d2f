"""Readings over several sources: merging, ages, states, and what is missing."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.ages import ages_from_up
from infra_console.telemetry.catalogue import fallback_query, main_query, spec_of
from infra_console.telemetry.errors import AmbiguousReading, QueryUnknown, SourceUnreachable
from infra_console.telemetry.queries import (
    fleet_freshness,
    read_instant,
    read_range,
)
from infra_console.telemetry.series import Answer, Freshness, RawSeries
from infra_console.telemetry.sources import BoundSource
from tests.infra_console.telemetry.samples import T0, raw

Data = Mapping[str, Sequence[RawSeries]]
AT = datetime.fromtimestamp(T0 + 7200, UTC)
NOW_S = AT.timestamp()
WAITING = "cluster_model:vllm_requests_waiting:sum"
WITHIN = "cluster_model_le:vllm_ttft_within:ratio_5m"


def waiting(cluster: str, value: float, *, model: str = "m", age_s: float = 5) -> RawSeries:
    return raw({"cluster": cluster, "model_name": model}, [NOW_S - age_s], [value])


def scraped(cluster: str, job: str, *, age_s: float, good: float = 1) -> RawSeries:
    times = [NOW_S - age_s - 15 * i for i in range(3, -1, -1)]
    return raw({"cluster": cluster, "job": job}, times, [good] * 4)


def bound(name: str, *clusters: str, data: Data | None = None, **rest: object) -> BoundSource:
    """A source whose vLLM exporters were all scraped just now, unless the data says otherwise."""
    scrapes = {"up": [scraped(cluster, "vllm", age_s=1) for cluster in clusters]}
    source = MemorySource(scrapes | dict(data or {}), **rest)
    return BoundSource(name, frozenset(clusters), 15.0, source)


def test_sources_are_merged_and_each_speaks_for_its_own_clusters() -> None:
    sources = [
        bound("west", "a", data={WAITING: [waiting("a", 3), waiting("b", 99)]}),
        bound("east", "b", data={WAITING: [waiting("b", 0)]}),
    ]
    reading = read_instant("requests_waiting", at=AT, sources=sources)
    assert reading.by("cluster", "model_name") == {("a", "m"): 3.0, ("b", "m"): 0.0}
    assert reading.state is Freshness.LIVE
    assert reading.source_ids == ("west", "east")
    assert reading.unit == "requests"


def test_unknown_is_not_zero() -> None:
    sources = [bound("s", "a", data={})]
    sources[0].source.data[fallback_query(spec_of("requests_waiting"), {})] = []
    reading = read_instant("requests_waiting", at=AT, sources=sources)
    assert reading.series == ()
    assert reading.state is Freshness.DOWN
    assert reading.value(cluster="a", model_name="m") is None


def test_a_nan_is_unknown_too() -> None:
    data = {WAITING: [waiting("a", float("nan"))]}
    reading = read_instant("requests_waiting", at=AT, sources=[bound("s", "a", data=data)])
    assert reading.value(cluster="a") is None
    assert reading.by("cluster") == {("a",): None}


def test_a_silent_source_makes_the_reading_partial_and_says_why() -> None:
    failure = SourceUnreachable("http://east", "no whole answer within 15 s")
    sources = [
        bound("west", "a", data={WAITING: [waiting("a", 3)]}),
        bound("east", "b", failure=failure),
    ]
    reading = read_instant("requests_waiting", at=AT, sources=sources)
    assert reading.state is Freshness.PARTIAL
    assert reading.value(cluster="a") == 3.0
    assert reading.value(cluster="b") is None
    assert reading.error == "east: no whole answer within 15 s"


def test_no_source_at_all_is_down() -> None:
    failure = SourceUnreachable("x", "does not answer")
    for sources in ([], [bound("s", "a", failure=failure)]):
        reading = read_instant("requests_waiting", at=AT, sources=sources)
        assert reading.state is Freshness.DOWN
        assert reading.age_s is None


def test_a_cluster_that_is_silent_within_its_source_makes_the_reading_partial() -> None:
    sources = [bound("s", "a", "b", data={WAITING: [waiting("a", 3)]})]
    assert read_instant("requests_waiting", at=AT, sources=sources).state is Freshness.PARTIAL
    only_a = read_instant("requests_waiting", at=AT, match={"cluster": "a"}, sources=sources)
    assert only_a.state is Freshness.LIVE


def test_warnings_make_the_reading_partial() -> None:
    source = bound("s", "a", data={WAITING: [waiting("a", 3)]}, warnings=("a store is away",))
    reading = read_instant("requests_waiting", at=AT, sources=[source])
    assert reading.state is Freshness.PARTIAL
    assert reading.warnings == ("a store is away",)


def test_a_rule_that_outlives_its_exporter_is_as_old_as_the_exporter() -> None:
    data = {
        WAITING: [waiting("a", 3, age_s=2)],
        "up": [scraped("a", "vllm", age_s=200), scraped("a", "dcgm-exporter", age_s=1)],
    }
    reading = read_instant("requests_waiting", at=AT, sources=[bound("s", "a", data=data)])
    assert reading.age_s == pytest.approx(200)
    assert reading.state is Freshness.DELAYED


def test_an_exporter_that_no_job_is_known_as_is_not_live() -> None:
    data = {WAITING: [waiting("a", 3, age_s=2)], "up": [scraped("a", "chat", age_s=1)]}
    reading = read_instant("requests_waiting", at=AT, sources=[bound("s", "a", data=data)])
    assert (reading.state, reading.age_s) == (Freshness.DOWN, None)
    assert reading.value(cluster="a") == 3


def test_a_dead_job_that_is_none_of_ours_is_not_counted() -> None:
    now_s = datetime.now(UTC).timestamp()
    up = [
        raw({"cluster": "a", "job": job}, [now_s - 20, now_s - 5], [good, good])
        for job, good in (("nvidia-dcgm-exporter", 1), ("kube-state-metrics", 1), ("backup", 0))
    ]
    fresh = fleet_freshness(sources=[bound("s", "a", data={"up": up})])
    assert fresh.state is Freshness.LIVE
    assert "backup" not in fresh.clusters["a"].jobs


def test_an_old_recorded_sample_is_as_old_as_it_is() -> None:
    data = {WAITING: [waiting("a", 3, age_s=250)], "up": [scraped("a", "vllm", age_s=1)]}
    reading = read_instant("requests_waiting", at=AT, sources=[bound("s", "a", data=data)])
    assert reading.age_s == pytest.approx(250)


def test_without_rules_the_raw_series_answer_and_say_so() -> None:
    raw_query = fallback_query(spec_of("requests_waiting"), {"cluster": "a"})
    sources = [bound("s", "a", data={raw_query: [waiting("a", 4)]})]
    reading = read_instant("requests_waiting", at=AT, match={"cluster": "a"}, sources=sources)
    assert reading.value(cluster="a") == 4.0
    assert "recording rules" in reading.notes[0]
    assert reading.state is Freshness.LIVE


def test_an_slo_edge_picks_its_bucket() -> None:
    series = [
        raw({"cluster": "a", "model_name": "m", "le": le}, [NOW_S], [share])
        for le, share in [("0.5", 0.7), ("1.0", 0.96)]
    ]
    sources = [bound("s", "a", data={WITHIN: series})]
    reading = read_instant("ttft_within_slo", at=AT, le=1, sources=sources)
    assert reading.value(cluster="a", model_name="m") == 0.96


def test_labels_that_do_not_single_out_a_series_are_refused() -> None:
    data = {WAITING: [waiting("a", 1), waiting("a", 2, model="n")]}
    reading = read_instant("requests_waiting", at=AT, sources=[bound("s", "a", data=data)])
    with pytest.raises(AmbiguousReading):
        reading.value(cluster="a")
    with pytest.raises(AmbiguousReading):
        reading.by("cluster")


def test_an_unknown_query_is_named() -> None:
    with pytest.raises(QueryUnknown, match="no_such"):
        read_instant("no_such", at=AT, sources=[])


def test_a_range_is_one_grid_with_gaps() -> None:
    minutes = [0, 1, 2, 30, 31]
    series = raw({"cluster": "a", "model_name": "m"}, [T0 + 60 * m for m in minutes], minutes)
    reading = read_range(
        "requests_waiting",
        start=datetime.fromtimestamp(T0 + 17, UTC),
        end=datetime.fromtimestamp(T0 + 31 * 60 + 20, UTC),
        step_s=60,
        sources=[bound("s", "a", data={WAITING: [series]})],
    )
    (found,) = reading.series
    np.testing.assert_allclose(found.times, T0 + 60 * np.arange(32))
    assert found.values[:7].tolist() == [0, 1, 2, 2, 2, 2, 2]
    assert np.isnan(found.values[7:30]).all()
    assert found.values[30:].tolist() == [30, 31]
    assert found.last == 31.0


def test_means_of_steps_are_asked_for_where_the_series_is_stored() -> None:
    times = T0 + 15 * np.arange(81)
    series = raw({"cluster": "a", "model_name": "m"}, times, np.arange(81))
    source = bound("s", "a", data={WAITING: [series]})
    reading = read_range(
        "requests_waiting", start=AT - timedelta(hours=2), end=AT - timedelta(seconds=6000),
        step_s=600, mean=True, sources=[source],
    )  # fmt: skip
    assert reading.series[0].values.tolist() == [0.0, 20.0, 60.0]


def test_scrapes_count_only_when_they_were_good() -> None:
    up = [scraped("a", "vllm", age_s=3), scraped("a", "dcgm", age_s=3, good=0)]
    ages = ages_from_up(Answer(tuple(up)), at_s=NOW_S)
    assert ages == {("a", "vllm"): pytest.approx(3), ("a", "dcgm"): None}


def test_a_job_is_as_fresh_as_its_youngest_instance() -> None:
    up = [scraped("a", "dcgm", age_s=3, good=0), scraped("a", "dcgm", age_s=90)]
    ages = ages_from_up(Answer(tuple(up)), at_s=NOW_S)
    assert ages == {("a", "dcgm"): pytest.approx(90)}


def test_the_fleet_is_partial_when_one_cluster_is_down() -> None:
    now_s = datetime.now(UTC).timestamp()
    up = raw({"cluster": "a", "job": "vllm"}, [now_s - 20, now_s - 5], [1, 1])
    failure = SourceUnreachable("x", "does not answer")
    fresh = fleet_freshness(
        sources=[bound("s", "a", "b", data={"up": [up]}), bound("t", "c", failure=failure)]
    )
    assert fresh.state is Freshness.PARTIAL
    assert {name: cluster.state for name, cluster in fresh.clusters.items()} == {
        "a": Freshness.LIVE,
        "b": Freshness.DOWN,
        "c": Freshness.DOWN,
    }
    assert fresh.clusters["a"].age_s == pytest.approx(5, abs=2)
    assert fresh.errors == {"t": "does not answer"}


def test_a_gpu_that_two_exporters_tell_of_counts_once() -> None:
    xid = spec_of("xid_errors")
    rows = [
        raw({"cluster": "a", "node": node, "gpu": "0", "UUID": "GPU-1"}, [NOW_S], [code])
        for node, code in (("dcgm-exporter-second", 79), ("n1", 0))
    ]
    up = {"up": [scraped("a", "dcgm", age_s=1)], main_query(xid, {}): rows}
    reading = read_instant("xid_errors", at=AT, sources=[bound("s", "a", data=up)])
    (series,) = reading.series
    assert (series.labels["node"], series.last) == ("n1", 79.0)
    assert "1 series stood twice and count once" in reading.notes


def test_two_replicas_of_a_history_are_one_that_fills_both_gaps() -> None:
    times = T0 + 600 * np.arange(4)
    first = raw({"cluster": "a", "model_name": "m", "replica": "0"}, times[:2], [1, 2])
    other = raw({"cluster": "a", "model_name": "m", "replica": "1"}, times[1:], [2, 3, 4])
    reading = read_range(
        "requests_waiting", start=datetime.fromtimestamp(T0, UTC),
        end=datetime.fromtimestamp(T0 + 1800, UTC), step_s=600,
        sources=[bound("s", "a", data={WAITING: [first, other]})],
    )  # fmt: skip
    (series,) = reading.series
    assert series.values.tolist() == [1, 2, 3, 4]


def test_jobs_are_known_by_the_words_that_a_source_names() -> None:
    jobs = {"vllm": ("chat-",), "dcgm": ("dcgm",), "kube-state-metrics": ("ksm",)}
    up = [scraped("a", "chat-servers", age_s=1)]
    source = bound("s", "a", data={"up": up, WAITING: [waiting("a", 3)]})
    named = BoundSource("s", frozenset({"a"}), 15.0, source.source, jobs)
    assert read_instant("requests_waiting", at=AT, sources=[named]).state is Freshness.LIVE
    assert read_instant("requests_waiting", at=AT, sources=[source]).state is Freshness.DOWN
    assert any(q.startswith('up{job=~".*(chat-|dcgm|ksm).*"}') for q in source.source.asked)
