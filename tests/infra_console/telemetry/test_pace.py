"""A source's budget: measured from what is fetched, it stretches the readings and lets go again."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.urls import reverse

from infra_console.telemetry import doctor, usage
from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.adapters.paced import PacedSource
from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.doubts import Doubt
from infra_console.telemetry.errors import SourceBudgetSpent
from infra_console.telemetry.models import SourceUse
from infra_console.telemetry.pace import MOST_S, READ_EVERY_S, Pace, Use, pace_of
from infra_console.telemetry.queries import fleet_freshness, forget_cached
from infra_console.telemetry.series import Freshness, RawSeries
from infra_console.telemetry.sources import BoundSource, current_sources
from tests.infra_console.telemetry.liar import body, liar
from tests.infra_console.telemetry.test_connection import ONE
from tests.infra_console.telemetry.test_data_sources import declare, draft, fleet
from tests.people import person

__all__ = ["fleet"]

SERIES = [{"metric": {"cluster": "a"}, "value": [1767225600, "1"]}] * 3
FOUND = json.dumps({"status": "success", "data": {"resultType": "vector", "result": SERIES}})


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _fresh(settings):
    settings.SOURCE_NETWORKS = frozenset({"private", "loopback"})
    settings.PROMETHEUS_URL = ""
    forget_cached()
    usage._shared.clear()
    yield
    forget_cached()


def minute(pace: Pace, clock: Clock, series: int) -> float:
    """A minute in which every reading fetches so many series; the interval after it."""
    for _ in range(int(60 / pace.every_s) or 1):
        pace.spend(queries=1, series=series)
        clock.now_s += min(60.0, pace.every_s)
    _ = pace.stretched
    return pace.every_s


def test_the_interval_grows_until_the_budget_holds_and_shrinks_when_there_is_room(clock):
    pace = Pace(Use(series=1000), clock=clock)
    assert [minute(pace, clock, 900) for _ in range(4)] == [30.0, 60.0, 60.0, 60.0]
    assert pace.words == (
        "reads every 60 s instead of 15 s: the source's budget of 1,000 series/min is used up"
    )
    assert [minute(pace, clock, 200) for _ in range(3)] == [30.0, 30.0, 30.0]
    assert [minute(pace, clock, 80) for _ in range(2)] == [15.0, 15.0]
    assert pace.words == ""


@pytest.mark.parametrize(
    ("caps", "use", "words"),
    [
        (Use(queries=10), {"queries": 10}, "10 questions/min"),
        (Use(series=10), {"series": 10}, "10 series/min"),
        (Use(bytes=2**21), {"size": 2**21}, "2 MiB/min"),
    ],
)
def test_each_kind_of_cap_holds(clock, caps, use, words):
    pace = Pace(caps, clock=clock)
    assert not pace.is_spent
    pace.spend(**use)
    assert pace.is_spent
    assert pace.cap_words == words
    clock.now_s += 61
    assert not pace.is_spent


def test_it_stretches_to_four_minutes_at_most_and_without_a_cap_never(clock):
    pace, free = Pace(Use(queries=1), clock=clock), Pace(clock=clock)
    for _ in range(8):
        pace.spend(queries=5)
        free.spend(queries=5000, series=10**6, size=2**40)
        clock.now_s += 59
        assert pace.is_spent
        clock.now_s += 2
        assert not free.is_spent
        assert free.held_s == 0.0
    assert pace.every_s == MOST_S
    assert free.every_s == READ_EVERY_S


def test_what_others_fetch_counts(clock):
    pace = Pace(Use(queries=10), clock=clock)
    pace.spend(queries=4)
    pace.others = Use(queries=6)
    assert pace.is_spent


def paced(clock: Clock, caps: Use) -> tuple[MemorySource, PacedSource, Pace]:
    """A source in memory that counts its questions against the caps."""
    pace = Pace(caps, clock=clock)
    data = {"up": [RawSeries({"cluster": "a"}, np.array([0.0]), np.array([1.0]))]}

    class Counted(MemorySource):
        def window(self, selector, **how):
            pace.spend(queries=1)
            return super().window(selector, **how)

        def range(self, promql, **how):
            pace.spend(queries=1)
            return super().range(promql, **how)

    source = Counted(data)
    return source, PacedSource("main", source, pace, {}, clock=clock), pace


def ask(source: PacedSource):
    return source.window("up", at=datetime.now(UTC), window_s=600)


def test_a_stretched_reading_is_the_one_from_before_and_the_next_is_new(clock):
    asked, source, pace = paced(clock, Use(queries=100))
    pace.every_s = 60.0
    first = ask(source)
    clock.now_s += 59
    assert ask(source) is first
    clock.now_s += 2
    assert ask(source) is not first
    assert len(asked.asked) == 2


def test_at_its_ordinary_pace_every_question_is_put(clock):
    asked, source, _ = paced(clock, Use(queries=100))
    for _ in range(3):
        ask(source)
    assert len(asked.asked) == 3


def test_when_the_minute_is_used_up_the_last_answer_serves_and_new_questions_wait(clock):
    asked, source, _ = paced(clock, Use(queries=2))
    now = datetime.now(UTC)
    ask(source), ask(source)
    kept = ask(source)
    assert len(asked.asked) == 2
    with pytest.raises(SourceBudgetSpent, match=r"2 questions/min is used up"):
        source.range("up", start=now - timedelta(hours=1), end=now, step_s=60)
    with pytest.raises(SourceBudgetSpent):  # the past is not held
        source.window("up", at=now - timedelta(hours=1), window_s=60)
    assert source.ready()
    clock.now_s += 61
    assert ask(source) is not None
    assert kept.series == ()
    assert len(asked.asked) in {2, 3}


def test_what_is_held_grows_old_and_its_failing_targets_are_still_told(clock):
    """Or a shrink would be let go by the very thing that reads less."""
    pace = Pace(Use(queries=100), clock=clock)
    bound = BoundSource("main", frozenset({"a"}), 15.0, MemorySource(), pace=pace)
    assert bound.recent_s == 45.0
    pace.every_s = 60.0
    now = datetime.now(UTC).timestamp()
    times = np.array([now - 100.0])
    targets = [
        RawSeries({"cluster": "a", "job": "dcgm-exporter", "instance": str(n)}, times,
                  np.array([float(n > 2)]))
        for n in range(10)
    ]  # fmt: skip
    held = BoundSource("main", frozenset({"a"}), 15.0, MemorySource({"up": targets}), pace=pace)
    held.source.data["up" + _selector(held)] = targets
    seen = fleet_freshness(sources=[held]).clusters["a"]
    assert seen.state is Freshness.PARTIAL
    assert "7 of 10 targets of dcgm answer" in seen.doubts
    assert seen.age_s == pytest.approx(100.0, abs=5)
    assert Doubt("x", Freshness.PARTIAL).at_least is False


def _selector(bound: BoundSource) -> str:
    return '{job=~".*(vllm|dcgm|kube-state-metrics).*"}'


def test_what_is_fetched_is_measured_on_the_wire():
    pace = Pace()
    with liar(body(FOUND.encode())) as server:
        source = PrometheusSource(server.url, pace=pace)
        source.instant("up", at=datetime.now(UTC))
    assert pace.used == Use(1, 3, len(FOUND))


def answers(handler, server) -> None:
    asked = server.asked[-1].parameters.get("query")
    (body(ONE) if asked == "1" else body(FOUND.encode()))(handler, server)


@pytest.mark.django_db
def test_a_budget_is_declared_or_kept_and_shown_with_what_was_fetched(fleet, client):
    with liar(answers) as server:
        declare(fleet, id="file", url=server.url, clusters=["a"], max_series_per_min=5)
        (bound,) = current_sources()
        for _ in range(2):
            bound.source.instant("up", at=datetime.now(UTC))
        with pytest.raises(SourceBudgetSpent):
            bound.source.instant("down", at=datetime.now(UTC))
        bound.pace.every_s, bound.pace.reached = 60.0, "5 series/min"
        usage._shared.clear()
        (bound,) = current_sources()
        assert bound.pace is pace_of("file", Use(series=5))
        SourceUse.objects.create(
            source_id="file", process="other:1", at=datetime.now(UTC), queries=3, series=7, bytes=0
        )  # fmt: skip
        client.force_login(person("viewer"))
        page = client.get(reverse("sources:index")).content.decode()
        found = {check.name: check for check in doctor.check_sources()}
    assert "It reads every 60 s instead of 15 s: the source&#x27;s budget of 5 series/min" in page
    assert "5 questions, 13 series" in page
    assert "<dd>5 series</dd>" in page
    check = found["metric source file: answers"]
    assert not check.ok
    assert "its budget of 5 series/min is used up" in check.detail


@pytest.mark.django_db
def test_an_admin_sets_a_budget_in_the_console(fleet, client):
    client.force_login(person("admin"))
    form = {"id": "main", "url": "http://127.0.0.1:9", "cluster": "a", "max_queries_per_min": "300"}
    client.post(reverse("sources:save", args=["new"]), form)
    (bound,) = current_sources()
    assert bound.pace.caps == Use(queries=300)
    refused = client.post(reverse("sources:save", args=["main"]), {**form, "max_mib_per_min": "-1"})
    assert "max_mib_per_min" in refused.content.decode()
    assert draft().max_series_per_min == 0


@pytest.mark.django_db
def test_the_doctor_tells_what_the_budget_does_to_other_processes(fleet):
    with liar(answers) as server:
        declare(fleet, id="file", url=server.url, clusters=["a"], max_queries_per_min=300)
        SourceUse.objects.create(
            source_id="file", process="other:1", at=datetime.now(UTC), queries=3, series=7, bytes=0,
            pace="reads every 30 s instead of 15 s",
        )  # fmt: skip
        found = {check.name: check for check in doctor.check_sources()}
    check = found["metric source file: budget"]
    assert not check.ok
    assert check.detail.startswith("reads every 30 s instead of 15 s (3 questions, 7 series")
