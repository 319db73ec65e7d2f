"""Which sources there are, what the doctor says of them, and what is kept for a few seconds."""

from datetime import UTC, datetime

import pytest
from django.test import override_settings

from infra_console.fleet.models import FleetSetting
from infra_console.overview.doctor import Check, run_checks
from infra_console.telemetry import doctor, queries
from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.cache import ShortCache
from infra_console.telemetry.catalogue import main_query, spec_of
from infra_console.telemetry.errors import SourceUnreachable
from infra_console.telemetry.fragments import scrapes_query
from infra_console.telemetry.probe import NEEDED, examine
from infra_console.telemetry.sources import BoundSource, current_sources
from tests.infra_console.telemetry.samples import http_server, raw, success

FLEET = {
    "schema": "fleet/1",
    "regions": [
        {"id": name, "place": name, "latitude": 0, "longitude": 0, "jurisdiction": "X"}
        for name in ("a", "b")
    ],
    "clusters": [{"id": name, "context": name, "region": name} for name in ("a", "b")],
    "sources": [
        {"id": "first", "url": "http://127.0.0.1:9", "clusters": ["a"]},
        {"id": "second", "url": "http://127.0.0.1:9", "clusters": ["b"], "scrape_interval_s": 60},
    ],
    "pools": [],
    "workloads": [],
    "tiers": {"namespaces": {}},
}


@pytest.mark.django_db
def test_before_a_fleet_is_applied_there_is_no_source() -> None:
    assert current_sources() == ()
    (check,) = doctor.check_sources()
    assert not check.ok
    assert "fleet_apply" in check.remedy


@pytest.mark.django_db
def test_the_environments_address_goes_to_the_first_source() -> None:
    FleetSetting.objects.create(id=1, document=FLEET)
    asked = []

    def reply(path: str, parameters: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        asked.append(path)
        return success([])

    with http_server(reply) as url, override_settings(PROMETHEUS_URL=url):
        first, second = current_sources()
        first.source.instant("up", at=datetime.now(UTC))
    assert asked == ["/api/v1/query"]
    assert (first.id, first.clusters) == ("first", {"a"})
    assert (second.clusters, second.scrape_interval_s) == ({"b"}, 60.0)
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1:9"):
        second.source.instant("up", at=datetime.now(UTC))


def bound(monkeypatch: pytest.MonkeyPatch, source: MemorySource) -> None:
    sources = (BoundSource("main", frozenset({"a", "b"}), 15.0, source),)
    monkeypatch.setattr(doctor, "current_sources", lambda: sources)
    monkeypatch.setattr(queries, "current_sources", lambda: sources)


def scrapes(*clusters: str) -> MemorySource:
    now_s = datetime.now(UTC).timestamp()
    up = [
        raw({"cluster": c, "job": job}, [now_s - 16, now_s - 1], [1, 1])
        for c in clusters
        for job in ("vllm", "nvidia-dcgm-exporter", "kube-state-metrics")
    ]
    return MemorySource({"up": up, "cluster:nodes:count": []})


def found() -> dict[str, Check]:
    return {check.name.partition(": ")[2]: check for check in doctor.check_sources()}


@pytest.mark.django_db
def test_the_doctor_names_what_is_not_live_and_missing_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound(monkeypatch, scrapes("a"))
    checks = found()
    assert checks["answers"].ok
    assert checks["clusters"].detail == "1 of 2 clusters live; not live: b (down)"
    assert not checks["exporters"].ok
    assert checks["exporters"].detail == "b has no job called vllm or dcgm or kube-state-metrics"
    assert not checks["recording rules"].ok
    assert "rules.yml" in checks["recording rules"].remedy
    assert "without series: nodes_total" in checks["numbers"].detail


@pytest.mark.django_db
def test_the_doctor_is_content_with_a_fresh_source(monkeypatch: pytest.MonkeyPatch) -> None:
    source = scrapes("a", "b")
    now_s = datetime.now(UTC).timestamp()
    some = [raw({"cluster": "a"}, [now_s], [14])]
    needed = {main_query(spec_of(name), {}).partition("{")[0]: some for name in NEEDED}
    whole = {main_query(spec_of(name), {}): some for name in NEEDED}
    source.data = {**source.data, **needed, **whole}
    bound(monkeypatch, source)
    assert [c for c in doctor.check_sources() if not c.ok and "witnesses" not in c.name] == []


@pytest.mark.django_db
def test_the_doctor_says_why_a_source_is_silent_and_since_when(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound(monkeypatch, MemorySource(failure=SourceUnreachable("x", "does not answer")))
    (check,) = doctor.check_sources()
    assert not check.ok
    assert check.detail.startswith("does not answer; since ")


def test_a_check_that_breaks_is_a_bad_check(caplog: pytest.LogCaptureFixture) -> None:
    (check,) = run_checks(["infra_console.telemetry.doctor.no_such_check"])
    assert not check.ok
    assert check.name == "no_such_check"
    assert "Doctor check" in caplog.text


def test_pages_share_one_look_at_the_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    source = scrapes("a", "b")
    bound(monkeypatch, source)
    queries.forget_cached()
    first, second = queries.fleet_freshness(), queries.fleet_freshness()
    assert first.clusters == second.clusters
    assert source.asked.count(scrapes_query()) == 1
    queries.forget_cached()
    queries.fleet_freshness()
    assert source.asked.count(scrapes_query()) == 2
    queries.forget_cached()


def test_a_kept_value_is_computed_again_when_it_is_old_and_failures_are_not_kept() -> None:
    now_s = [0.0]
    cache: ShortCache[int] = ShortCache(keep_s=5, clock=lambda: now_s[0])
    with pytest.raises(ZeroDivisionError):
        cache.get(lambda: 1 // 0)
    assert cache.get(lambda: 1) == 1
    now_s[0] = 4.9
    assert cache.get(lambda: 2) == 1
    now_s[0] = 5.0
    assert cache.get(lambda: 3) == 3


def test_the_test_says_since_when_an_exporter_is_doubted() -> None:
    now = datetime.now(UTC)
    source = scrapes("a", "b")
    hour = [now.timestamp() - 60.0 * minute for minute in range(60, -1, -1)]
    dcgm = {"cluster": "a", "exporter": "dcgm"}
    source.data = {
        **source.data,
        "cluster_exporter_check:witness:value": [
            raw({**dcgm, "check": "nodes"}, hour, [2] * 61),
            raw({**dcgm, "check": "nodes_flat"}, hour[-20:], [2] * 20),
        ],
    }
    found = examine(BoundSource("main", frozenset({"a", "b"}), 15.0, source), now=now)
    (doubted,) = [f for f in found if f.name == "dcgm in a"]
    assert not doubted.ok
    assert "the exporter repeats itself" in doubted.detail
    assert doubted.since is not None
    assert 1200 <= (now - doubted.since).total_seconds() <= 1200 + 300
