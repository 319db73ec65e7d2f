"""Round-trip times on the page: probed, imported or estimated, and each says which."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.fleet.models import Region
from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.errors import SourceUnreachable
from infra_console.telemetry.fragments import RTT, RTT_SEEN
from infra_console.telemetry.sources import BoundSource
from regions import queries
from regions.adapters import probes
from regions.core.errors import MatrixInvalid
from regions.models import MatrixImport
from regions.services import import_matrix
from tests.infra_console.telemetry.samples import raw
from tests.people import person

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOW_S = NOW.timestamp()
MATRIX = "source,uk,jp,kr\nuk,,226,222\njp,225,,33\nkr,222,33,\n"


@pytest.fixture(autouse=True)
def two_regions(db):
    for name, latitude, longitude in (("jp", 35.68, 139.77), ("uk", 51.5, -0.13)):
        Region.objects.create(
            id=name, place=name, latitude=latitude, longitude=longitude, jurisdiction="X"
        )


@pytest.fixture
def sources(monkeypatch):
    """The metric sources that probes are read from; none unless a test adds some."""
    bound: list[BoundSource] = []
    monkeypatch.setattr(probes, "current_sources", lambda: tuple(bound))
    return bound


def source(name: str, rtt_s: float, *, age_s: float) -> BoundSource:
    labels = {"region": "uk", "target": "jp"}
    return BoundSource(name, frozenset(), 15.0, MemorySource({
        RTT: [raw(labels, [NOW_S], [rtt_s])],
        RTT_SEEN: [raw(labels, [NOW_S], [NOW_S - age_s])],
    }))  # fmt: skip


def test_the_newest_probe_of_all_sources_counts_and_carries_its_age(sources):
    sources += [source("west", 0.230, age_s=50), source("east", 0.219, age_s=20)]
    times, problems = queries.round_trip_times(now=NOW)
    assert (times["uk", "jp"].ms, times["uk", "jp"].age_s) == (pytest.approx(219), 20)
    assert times["jp", "uk"] == times["uk", "jp"]
    assert problems == []


def test_a_source_that_is_down_is_named_and_the_estimate_stands_in(sources):
    down = MemorySource(failure=SourceUnreachable("west", "connection refused"))
    sources.append(BoundSource("west", frozenset(), 15.0, down))
    times, problems = queries.round_trip_times(now=NOW)
    assert times["uk", "jp"].origin == "estimate"
    assert "west" in problems[0]
    assert "connection refused" in problems[0]


def test_an_imported_matrix_is_as_old_as_its_measurement(sources):
    import_matrix(MATRIX, source="azure", measured_at=NOW - timedelta(days=2), by="ada")
    times, _ = queries.round_trip_times(now=NOW)
    assert (times["uk", "jp"].ms, times["uk", "jp"].age_s) == (226, 172_800)
    assert AuditRow.objects.latest("seq").detail["pairs"] == 2  # kr is none of ours


@pytest.mark.parametrize(
    ("text", "later", "problem"),
    [
        (MATRIX, timedelta(days=1), "future"),
        ("x,a,b\na,,1\nb,1,\n", timedelta(0), "no two regions"),
        (MATRIX.replace("226", "quick"), timedelta(0), "row uk, column jp"),
    ],
)
def test_a_matrix_that_makes_no_sense_changes_nothing(text, later, problem):
    with pytest.raises(MatrixInvalid, match=problem):
        import_matrix(text, source="x", measured_at=timezone.now() + later, by="ada")
    assert not MatrixImport.objects.exists()


def test_the_command_imports_and_says_what_is_wrong(tmp_path):
    path, out = tmp_path / "rtt.csv", StringIO()
    path.write_text(MATRIX)
    call_command("import_rtt", path, measured="2024-04-01", source="cloud", stdout=out)
    assert "2 round-trip times of cloud imported" in out.getvalue()
    with pytest.raises(CommandError, match="no ISO 8601 date"):
        call_command("import_rtt", path, measured="last spring")
    path.write_text("source,uk\n")
    with pytest.raises(CommandError, match="stay as they were"):
        call_command("import_rtt", path, measured="2024-04-01")


def test_the_page_says_of_each_pair_where_its_value_comes_from(client, sources, monkeypatch):
    client.force_login(person("viewer"))
    page = client.get("/regions/", headers={"HX-Request": "true", "HX-Target": "rtt"})
    assert page.content.decode().count("≈ 169") == 2
    assert "0 pairs probed, 0 imported, 2 estimated" in page.content.decode()
    import_matrix(MATRIX, source="cloud <b>", measured_at=NOW - timedelta(days=2), by="ada")
    page = client.get("/regions/", headers={"HX-Request": "true", "HX-Target": "rtt"})
    assert "2 imported" in page.content.decode()
    assert "cloud &lt;b&gt;" in page.content.decode()
