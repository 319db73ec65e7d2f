"""The first page and the frame of every page."""

import pytest
from django.utils import timezone

from infra_console.fleet.services import apply_fleet_config
from infra_console.plans.models import Execution, Plan
from infra_console.plans.safety import engage_kill_switch
from infra_console.telemetry import queries as telemetry
from tests.observations import observed, service
from tests.people import person
from tests.plan_specs import plan_row
from tests.tiers.factories import fleet_config
from tiers.models import Cycle

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(client):
    client.force_login(person("viewer"))
    return client


@pytest.fixture
def fleet():
    apply_fleet_config(fleet_config(), by="tester")
    telemetry.forget_cached()
    yield
    telemetry.forget_cached()


def text(client, address, **headers):
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_with_no_fleet_at_all_the_page_says_what_to_do_and_claims_nothing(viewer):
    page = text(viewer, "/")
    assert "has not been observed yet" in page
    assert "manage.py fleet_apply FILE" in page
    assert "The fleet is well" not in page


def test_the_verdict_names_the_model_that_misses_its_slo(viewer, fleet):
    observed(workloads={"chat": service(1.31)})
    page = text(viewer, "/")
    assert "One thing is wrong" in page
    assert "chat in north answers at 1.31 × its p95 limit" in page


def test_a_waiting_plan_is_one_click_from_review_and_counted_in_the_frame(viewer, fleet):
    observed()
    plan = plan_row(3)
    page = text(viewer, "/")
    assert f'href="/plans/{plan.id}/">Review' in page
    assert "one plan waits for a decision" in page
    assert ">1</span>" in page


def test_a_paused_plan_is_something_to_watch_and_is_not_being_carried_out(viewer, fleet):
    observed()
    plan = plan_row(3, state="paused")
    Plan.objects.update(state_reason="floor: inference has 8 ready GPUs")
    page = text(viewer, "/")
    assert "One thing is to watch." in page
    assert f'href="/plans/{plan.id}/">Plan 3 is paused: floor: inference has' in page
    assert "being carried out" not in page


def test_a_plan_that_is_only_watched_until_it_settles_is_no_longer_carried_out(viewer, fleet):
    observed()
    run = Execution.objects.create(plan=plan_row(3, state="verifying"))
    assert "one plan is being carried out" in text(viewer, "/")
    run.verified_at = timezone.now()
    run.save(update_fields=["verified_at"])
    assert "nothing waits for you" in text(viewer, "/")


def test_a_frozen_cycle_is_something_to_watch(viewer, fleet):
    snapshot = observed()
    Cycle.objects.create(
        started_at=snapshot.at, state="frozen", stage="done", requested_by="system:cycle",
        verdict="Inputs are 20 min old: nothing was planned.",
    )  # fmt: skip
    assert "nothing was planned" in text(viewer, "/")


def test_a_live_part_is_the_same_markup_without_the_page(viewer, fleet):
    observed(workloads={"chat": service(1.31)})
    part = text(viewer, "/", **{"HX-Request": "true", "HX-Target": "card-tiers"})
    assert part.startswith('<div id="card-tiers"')
    assert "<html" not in part


def test_scope_and_range_stay_in_every_link_of_the_frame(viewer, fleet):
    page = text(viewer, "/?region=north&range=3h")
    for address in ("/tiers/", "/plans/", "/regions/"):
        assert f'href="{address}?region=north&range=3h"'.replace("&", "&amp;") in page.replace(
            "&range", "&amp;range"
        )


def test_the_pill_says_source_down_with_the_sources_words(viewer, fleet):
    pill = text(viewer, "/shell/freshness")
    assert "Source down" in pill
    assert "main" in pill
    assert "Live" not in pill


def test_a_simulated_fleet_is_called_so_with_its_factor(viewer):
    apply_fleet_config(fleet_config(twin={"time_factor": 10}), by="tester")
    assert "Simulated fleet, delays ÷10" in text(viewer, "/")


def test_a_real_fleet_is_not_called_simulated(viewer, fleet):
    assert "Simulated" not in text(viewer, "/")


def test_pages_are_strict_about_scripts_and_carry_none_inline(viewer, fleet):
    answer = viewer.get("/")
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe-eval" not in policy
    page = answer.content.decode()
    assert page.count("<script") == page.count("<script src=")
    assert " onclick=" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_who_may_not_view_sees_nothing_of_the_fleet_and_can_sign_out(client, fleet):
    engage_kill_switch(by=person("operator"), reason="a leak in hall 3")
    client.force_login(person(name="newcomer"))
    answer = client.get("/")
    page = answer.content.decode()
    assert answer.status_code == 403
    for told in ("north", "hall 3", "armed", "live.js"):
        assert told not in page
    assert 'action="/logout"' in page
    assert "newcomer" in page


def test_a_page_and_its_parts_are_never_kept_by_caches(viewer, fleet):
    answer = viewer.get("/")
    assert answer["Cache-Control"] == "no-store"
    assert "HX-Target" in answer["Vary"]


def test_the_frame_costs_few_queries(viewer, fleet, django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        viewer.get("/shell/badges")
    with django_assert_max_num_queries(30):
        viewer.get("/")
