"""What every metric source promises; the one in memory, and the real one against two servers."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.errors import SourceRefused
from infra_console.telemetry.escape import matchers
from infra_console.telemetry.ports import MetricSource
from infra_console.telemetry.series import Answer, RawSeries
from tests.infra_console.telemetry.samples import (
    LOAD,
    ODD_NAME,
    SERIES,
    T0,
    http_server,
    prometheus_face,
)


def clean(series: RawSeries) -> RawSeries:
    """As a source hands it out: no infinities, no sentinels."""
    known = np.isfinite(series.values) & (np.abs(series.values) < 2.0**62)
    return RawSeries(series.labels, series.times, np.where(known, series.values, np.nan))


@pytest.fixture(params=["memory", "http", "prometheus"])
def source(request: pytest.FixtureRequest) -> Iterator[MetricSource]:
    if request.param == "memory":
        yield MemorySource({LOAD: [clean(series) for series in SERIES]})
    elif request.param == "http":
        with http_server(prometheus_face(SERIES)) as url:
            yield PrometheusSource(url, max_points=25)
    else:
        yield PrometheusSource(request.getfixturevalue("prometheus_url"), max_points=25)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(T0 + seconds, UTC)


def only(answer: Answer) -> RawSeries:
    (series,) = answer.series
    return series


def selector(**match: str) -> str:
    return f"{LOAD}{{{matchers(match)}}}"


def test_instant_gives_the_newest_sample_stamped_with_the_query_time(source: MetricSource) -> None:
    series = only(source.instant(selector(cluster="a"), at=at(630)))
    assert series.values.tolist() == [10.0]
    assert series.times.tolist() == [T0 + 630]
    assert series.labels["model_name"] == "m"


def test_timestamp_tells_when_the_sample_was_written(source: MetricSource) -> None:
    series = only(source.instant(f"timestamp({selector(cluster='a')})", at=at(630)))
    assert series.values.tolist() == [T0 + 600]
    assert series.labels == {"cluster": "a", "model_name": "m"}


def test_a_sample_older_than_five_minutes_is_no_answer(source: MetricSource) -> None:
    assert source.instant(selector(cluster="a"), at=at(30 * 60)).series == ()


def test_range_leaves_gaps_out_and_joins_its_parts(source: MetricSource) -> None:
    # 61 points with at most 25 in one request.
    series = only(source.range(selector(cluster="a"), start=at(0), end=at(3600), step_s=60))
    minutes = ((series.times - T0) / 60).round().astype(int)
    assert series.values[minutes < 20].tolist() == list(range(20))
    assert series.values[minutes >= 40].tolist() == list(range(40, 61))
    # Between, the last value is carried for less than five minutes.
    between = (minutes >= 20) & (minutes < 40)
    assert minutes[between].max() < 24 + 1
    assert set(series.values[between]) == {19.0}


def test_window_gives_the_samples_with_their_own_times(source: MetricSource) -> None:
    series = only(source.window(selector(cluster="a"), at=at(1230), window_s=200))
    assert series.times.tolist() == [T0 + 60 * 18, T0 + 60 * 19]
    assert series.values.tolist() == [18.0, 19.0]


def test_means_over_a_window(source: MetricSource) -> None:
    query = f"avg_over_time({selector(cluster='a')}[140s])"
    assert only(source.instant(query, at=at(630))).values.tolist() == [9.5]  # of 9 and 10


def test_sentinels_and_infinities_are_unknown(source: MetricSource) -> None:
    odd = selector(cluster="b")
    assert only(source.instant(odd, at=at(0))).values.tolist() == [1.5]
    assert np.isnan(only(source.instant(odd, at=at(60))).values).all()
    assert np.isnan(only(source.instant(odd, at=at(120))).values).all()


@pytest.mark.parametrize("match", [{"model_name": ODD_NAME}, {"model_name": [ODD_NAME, "n"]}])
def test_odd_label_values_survive_the_way_into_a_query(
    source: MetricSource, match: dict[str, str]
) -> None:
    assert only(source.instant(selector(**match), at=at(0))).labels["model_name"] == ODD_NAME


def test_an_unknown_metric_is_an_empty_answer(source: MetricSource) -> None:
    assert source.instant("no_such_metric{}", at=at(0)).series == ()
    assert source.range("no_such_metric{}", start=at(0), end=at(60), step_s=60).series == ()


@pytest.mark.parametrize(
    "ask",
    [
        lambda source: source.instant("demo{", at=at(0)),
        lambda source: source.range("demo{", start=at(0), end=at(60), step_s=60),
    ],
)
def test_a_wrong_query_is_refused_with_the_sources_words(
    source: MetricSource, ask: Callable[[MetricSource], Answer]
) -> None:
    with pytest.raises(SourceRefused, match="refused the query") as caught:
        ask(source)
    assert not caught.value.retryable
