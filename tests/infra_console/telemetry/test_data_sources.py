"""Data sources kept in the console: who may change them, what is sealed, what the page shows."""

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from pydantic import SecretStr

from infra_console.audit.models import AuditRow
from infra_console.fleet.models import Cluster, FleetSetting, Region
from infra_console.telemetry import services
from infra_console.telemetry.drafts import Draft
from infra_console.telemetry.errors import (
    SecretsUnreadable,
    SourceInvalid,
    SourceMissing,
    SourceNotYours,
    SourceRefused,
    SourceUnreachable,
)
from infra_console.telemetry.models import DataSource, SourceHealth
from infra_console.telemetry.queries import fleet_freshness, forget_cached, owners
from infra_console.telemetry.sealing import seal, unseal
from infra_console.telemetry.sources import current_sources
from tests.infra_console.telemetry.liar import body, client_pair, liar
from tests.infra_console.telemetry.test_connection import EMPTY, ONE
from tests.infra_console.telemetry.test_sources import FLEET
from tests.people import person

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CANARIES = {"password": "canary-password", "bearer_token": "canary-token", "client_key": ""}
ANYWHERE = frozenset({"private", "loopback"})


@pytest.fixture(autouse=True)
def _fresh(settings):
    settings.SOURCE_NETWORKS = ANYWHERE
    settings.PROMETHEUS_URL = ""
    forget_cached()
    yield
    forget_cached()


@pytest.fixture
def fleet(db) -> dict:
    """Two clusters; no source is declared."""
    for name in ("a", "b"):
        region = Region.objects.create(
            id=name, place=name, latitude=0, longitude=0, jurisdiction="X"
        )
        Cluster.objects.create(id=name, context=name, region=region)
    document = {**FLEET, "sources": []}
    FleetSetting.objects.create(id=1, document=document)
    return document


def draft(**changed) -> Draft:
    return replace(Draft(id="main", url="http://127.0.0.1:9", clusters=("a",)), **changed)


def basic(password: str = CANARIES["password"], **changed) -> Draft:
    given = {"secrets": {"password": SecretStr(password)}} | changed
    return draft(auth="basic", username="reader", **given)


def declare(document: dict, **source) -> None:
    document = {**document, "sources": [{"url": "http://127.0.0.1:9", **source}]}
    FleetSetting.objects.update(document=document)


def test_several_sources_each_own_their_clusters_and_a_dead_one_leaves_the_others(fleet):
    with liar(body(EMPTY)) as server:
        admin = person("admin")
        services.save_source(draft(id="west", url=server.url), by=admin, new=True)
        services.save_source(draft(id="east", clusters=("b",)), by=admin, new=True)
        assert owners() == {"a": "west", "b": "east"}
        west, east = sorted(current_sources(), key=lambda s: s.id, reverse=True)
        assert west.source.instant("up", at=NOW).series == ()
        with pytest.raises(SourceUnreachable):
            east.source.instant("up", at=NOW)
        assert list(fleet_freshness().errors) == ["east"]


def test_credentials_are_sealed_and_nothing_shows_them(fleet, caplog, client):
    certificate, key = client_pair()
    admin = person("admin")
    made = basic(
        client_cert_pem=certificate,
        headers={"X-Scope-OrgID": "canary-tenant"},
        secrets={"password": SecretStr("canary-password"), "client_key": SecretStr(key)},
    )
    with caplog.at_level(logging.DEBUG):
        row = services.save_source(made, by=admin, new=True)
        client.force_login(admin)
        pages = [
            client.get(reverse("sources:index")).content.decode(),
            client.get(reverse("sources:edit", args=["main"])).content.decode(),
            client.post(reverse("sources:test", args=["main"])).content.decode(),
        ]
    row.refresh_from_db()
    told = json.dumps([a.detail for a in AuditRow.objects.all()])
    stored = repr({field.name: getattr(row, field.name) for field in row._meta.fields})
    bound = repr(current_sources())
    for shown in (*pages, told, stored, bound, repr(made), str(row), caplog.text):
        assert "canary" not in shown
        assert key.split("\n")[1] not in shown
    assert "X-Scope-OrgID" in pages[0]
    opened = unseal(row.sealed)
    assert opened["password"] == "canary-password"
    assert opened["headers"] == {"X-Scope-OrgID": "canary-tenant"}


def test_what_is_not_given_again_stays_but_does_not_follow_to_another_address(fleet):
    with liar(body(EMPTY)) as first, liar(body(EMPTY)) as second:
        admin = person("admin")
        services.save_source(basic(url=first.url), by=admin, new=True)
        kept = draft(url=first.url, auth="basic", username="reader", timeout_s=9.0)
        services.save_source(kept, by=admin, new=False)
        (source,) = current_sources()
        source.source.instant("up", at=NOW)
        assert first.asked[0].headers["Authorization"].startswith("Basic ")
        with pytest.raises(SourceInvalid, match="needs a user and a password"):
            services.save_source(replace(kept, url=second.url), by=admin, new=False)
        with pytest.raises(SourceInvalid, match="needs a user and a password"):
            services.save_source(replace(kept, skip_verify=True), by=admin, new=False)
    assert not second.asked
    assert DataSource.objects.get().url == first.url


def test_credentials_open_with_any_of_the_keys_and_without_them_the_source_says_so(fleet, settings):
    settings.SECRETS_KEY = "old"
    services.save_source(basic(), by=person("admin"), new=True)
    settings.SECRETS_KEY = "new, old"
    assert unseal(DataSource.objects.get().sealed)["password"] == CANARIES["password"]
    assert unseal(seal({"a": "b"})) == {"a": "b"}
    settings.SECRETS_KEY = "new"
    with pytest.raises(SecretsUnreadable):
        unseal(DataSource.objects.get().sealed)
    (source,) = current_sources()
    with pytest.raises(SourceRefused, match="another key"):
        source.source.instant("up", at=NOW)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"url": "http://reader:canary@x"}, "credentials do not belong"),
        ({"clusters": ("a", "nowhere")}, "the fleet has no nowhere"),
        ({"headers": {"Authorization": "canary"}}, "cannot be set"),
        ({"headers": {"X-Tenant": "canary\r\nX: y"}}, "one line"),
        ({"params": {"query": "up"}}, "cannot be set"),
        ({"auth": "basic", "username": "x"}, "needs a user and a password"),
        ({"auth": "bearer"}, "needs a token"),
        ({"client_cert_pem": "x"}, "come together"),
        ({"ca_pem": "no certificate"}, "cannot be read"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"jobs": {"dcgm": ('x"y',)}}, "jobs"),
        ({"id": "Über"}, "id"),
    ],
)
def test_what_cannot_be_kept_is_named_and_nothing_changes(fleet, changed, problem):
    with pytest.raises(SourceInvalid, match=problem) as caught:
        services.save_source(draft(**changed), by=person("admin"), new=True)
    assert "canary" not in str(caught.value)
    assert not DataSource.objects.exists()


def test_a_cluster_belongs_to_one_source(fleet):
    admin = person("admin")
    services.save_source(draft(), by=admin, new=True)
    with pytest.raises(SourceInvalid, match="a belongs to the source main"):
        services.save_source(draft(id="other"), by=admin, new=True)
    declare(fleet, id="declared", clusters=["a"])
    assert owners() == {"a": "declared"}
    with pytest.raises(SourceInvalid, match="is declared"):
        services.save_source(draft(id="declared", clusters=("b",)), by=admin, new=True)


def test_only_admins_change_sources_and_each_change_is_audited(fleet):
    for role in ("viewer", "planner", "approver", "operator"):
        with pytest.raises(SourceNotYours):
            services.save_source(draft(), by=person(role), new=True)
        with pytest.raises(SourceNotYours):
            services.remove_source("main", by=person(role, name=f"{role}2"))
    admin = person("admin")
    services.save_source(draft(), by=admin, new=True)
    services.save_source(draft(timeout_s=5.0), by=admin, new=False)
    services.remove_source("main", by=admin)
    rows = AuditRow.objects.filter(object_kind="source").order_by("seq")
    assert [(r.action, r.actor, r.object_id) for r in rows] == [
        (f"source.{verb}", "admin", "main") for verb in ("added", "changed", "removed")
    ]
    with pytest.raises(SourceMissing):
        services.remove_source("main", by=admin)


def test_a_declared_source_reads_its_secrets_where_the_file_says(fleet, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("from-a-file\n")
    with liar(body(EMPTY)) as server:
        token = f"file:{tmp_path / 'token'}"
        declare(fleet, id="m", url=server.url, clusters=["a"], bearer_token=token)
        current_sources()[0].source.instant("up", at=NOW)
        monkeypatch.setenv("PROM_PASSWORD", "from-the-environment")
        declare(fleet, id="n", url=server.url, clusters=["a"], username="r",
                password="env:PROM_PASSWORD")  # fmt: skip
        current_sources()[0].source.instant("up", at=NOW)
        monkeypatch.delenv("PROM_PASSWORD")
        with pytest.raises(SourceRefused, match="PROM_PASSWORD"):
            current_sources()[0].source.instant("up", at=NOW)
    assert server.asked[0].headers["Authorization"] == "Bearer from-a-file"
    assert server.asked[1].headers["Authorization"].startswith("Basic ")


def test_the_environment_alone_declares_a_source_for_what_nobody_owns(fleet, settings):
    services.save_source(draft(clusters=("b",)), by=person("admin"), new=True)
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"
    assert owners() == {"a": "environment", "b": "main"}


def test_what_is_edited_in_a_browser_may_not_lead_to_this_machine_unless_allowed(fleet, settings):
    settings.SOURCE_NETWORKS = frozenset({"private"})
    with liar(body(EMPTY)) as server:
        services.save_source(draft(url=server.url), by=person("admin"), new=True)
        with pytest.raises(SourceRefused, match="loopback, which is not allowed"):
            current_sources()[0].source.instant("up", at=NOW)
        declare(fleet, id="d", url=server.url, clusters=["a"])
        declared = next(s for s in current_sources() if s.id == "d")
        declared.source.instant("up", at=NOW)


def test_since_when_a_source_is_silent_is_remembered(db):
    start = NOW
    for minute, problem in enumerate(["", "", "silent", "still silent", ""]):
        services.note_health("s", problem, at=start + timedelta(minutes=minute))
        row = SourceHealth.objects.get()
        assert row.since == start + timedelta(minutes={0: 0, 1: 0, 2: 2, 3: 2, 4: 4}[minute])
        assert row.problem == problem


def test_the_page_adds_changes_tests_and_removes_a_source(fleet, client):
    client.force_login(person("admin"))
    form = {"id": "main", "url": "http://127.0.0.1:9", "cluster": ["a"], "auth": "none",
            "flavour": "thanos", "params": "dedup=true", "job-dcgm": "gpu-metrics, dcgm",
            "timeout_s": "3"}  # fmt: skip
    answer = client.post(reverse("sources:save", args=["new"]), form)
    assert answer.status_code == 302
    row = DataSource.objects.get()
    assert (row.flavour, row.params, row.timeout_s) == ("thanos", {"dedup": "true"}, 3.0)
    assert row.jobs == {"dcgm": ["gpu-metrics", "dcgm"]}
    page = client.get(reverse("sources:index")).content.decode()
    assert "No source reads b" in page
    tested = client.post(reverse("sources:test", args=["main"]), headers={"HX-Request": "true"})
    assert "does not answer" in tested.content.decode()
    page = client.get(reverse("sources:index")).content.decode()
    assert "does not answer, since" in page
    bad = client.post(reverse("sources:save", args=["main"]), {**form, "params": "dedup"})
    assert bad.status_code == 400
    assert "line 1 is not name=value" in bad.content.decode()
    client.post(reverse("sources:remove", args=["main"]))
    assert not DataSource.objects.exists()


def test_declared_sources_are_shown_and_cannot_be_changed(fleet, client):
    declare(fleet, id="from.file", clusters=["a"], skip_verify=True)
    client.force_login(person("admin"))
    page = client.get(reverse("sources:index")).content.decode()
    assert "declared in the fleet file" in page
    assert "certificate is not checked" in page
    assert f'href="{reverse("sources:edit", args=["from.file"])}"' not in page
    assert client.get(reverse("sources:edit", args=["from.file"])).status_code == 404
    assert client.post(reverse("sources:remove", args=["from.file"])).status_code == 404


def test_people_without_the_right_see_the_sources_and_no_button_works(fleet, client):
    services.save_source(draft(), by=person("admin"), new=True)
    client.force_login(person("operator"))
    page = client.get(reverse("sources:index"))
    assert page.status_code == 200
    assert "needs the right source.manage" in page.content.decode()
    for verb in ("save", "remove", "test"):
        assert client.post(reverse(f"sources:{verb}", args=["main"])).status_code == 403
    assert client.get(reverse("sources:edit", args=["main"])).status_code == 403


def test_the_test_says_what_works_and_what_is_missing(fleet, client):
    def answer(handler, server) -> None:
        asked = server.asked[-1].parameters.get("query", "")
        body(ONE if asked == "1" else EMPTY)(handler, server)

    with liar(answer) as server:
        services.save_source(draft(url=server.url), by=person("admin"), new=True)
        client.force_login(person("admin", name="b"))
        page = client.post(reverse("sources:test", args=["main"])).content.decode()
    assert "its clock is" in page  # the liar lives at New Year
    assert "0 of 1 clusters live" in page
    assert "a has no job called" in page
    assert "deploy/prometheus/rules.yml" in page
    assert "without series: nodes_total" in page


def test_a_cluster_that_two_rows_claim_all_the_same_is_read_once(fleet):
    for name in ("first", "second"):
        DataSource.objects.create(
            id=name, url="http://127.0.0.1:9", clusters=["a"], changed_by="x", changed_at=NOW
        )
    assert [s.clusters for s in current_sources()] == [{"a"}, frozenset()]
    assert owners() == {"a": "first"}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("url", "http://prom:99999", "port that is none"),
        ("url", "http://prom:0", "port that is none"),
        ("url", "http://[::1", "port that is none"),
        ("url", "http://:9090", "no host"),
        ("url", "http://prom:9090/?token=canary", "ends before"),
        ("url", "http://prom\0:9090", "NUL"),
        ("scrape_interval_s", "inf", "scrape_interval_s"),
        ("scrape_interval_s", "nan", "scrape_interval_s"),
        ("scrape_interval_s", "86400", "scrape_interval_s"),
        ("id", "new", "page of its own"),
        ("id", "a\0", "NUL"),
        ("params", "dedup=\0", "NUL"),
        ("bearer_token", "canary-one\ncanary-two", "bearer_token"),
        ("bearer_token", "canary-ünicode", "bearer_token"),
    ],
)
def test_the_form_refuses_what_no_source_can_be_and_pages_go_on(fleet, client, field, value, words):
    client.force_login(person("admin"))
    form = {"id": "main", "url": "http://127.0.0.1:9", "cluster": "a", "auth": "none"}
    if field == "bearer_token":
        form["auth"] = "bearer"
    answer = client.post(reverse("sources:save", args=["new"]), form | {field: value})
    text = answer.content.decode()
    assert answer.status_code == 400
    assert words in text
    assert field == "url" or "canary" not in text
    assert not DataSource.objects.exists()
    assert client.get(reverse("sources:index")).status_code == 200


def test_a_token_pasted_with_the_end_of_its_line_is_the_token(fleet, client):
    client.force_login(person("admin"))
    form = {"id": "main", "url": "http://127.0.0.1:9", "cluster": "a", "auth": "bearer"}
    client.post(reverse("sources:save", args=["new"]), form | {"bearer_token": "canary-token\n"})
    assert unseal(DataSource.objects.get().sealed)["bearer_token"] == "canary-token"
