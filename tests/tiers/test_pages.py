"""The tiers pages: every bad state is said, parts equal the page, rights are kept."""

import pytest
from django.test import Client
from django.utils import timezone

from infra_console.audit.models import AuditRow
from tests.observations import observed, service
from tests.people import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(person("viewer"))
    return client


def text(client: Client, address: str, **headers: str) -> str:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_before_the_first_look_the_page_says_what_to_do(viewer, fleet):
    page = text(viewer, "/tiers/")
    assert "No data yet" in page
    assert "manage.py doctor" in page


def test_the_page_tells_gpus_floor_and_slo_by_tier(viewer, fleet):
    observed(workloads={"chat": service(1.31)})
    page = text(viewer, "/tiers/")
    assert "1.31 ×" in page
    assert "over SLO" in page
    assert "+0 GPUs" not in page


def test_replicas_that_others_own_are_shown_as_theirs(viewer, fleet):
    held = service(0.6) | {"tier": "inference", "owned_by": "argocd-controller"}
    observed(workloads={"chat": held})
    assert "chat in north by argocd-controller" in text(viewer, "/tiers/?tier=inference")
    assert "owned by others" not in text(viewer, "/tiers/?tier=training")


def test_what_is_unknown_is_a_dash_not_a_zero(viewer, fleet):
    observed(workloads={"chat": service(None)})
    page = text(viewer, "/tiers/?tier=inference")
    assert '<dd title="">–</dd>' in page


def test_a_cluster_never_reached_has_dashes_on_every_page(viewer, fleet):
    observed(reachable=False, gpus=None, seen_at=None, ledger={}, tiers={}, workloads={})
    for address in ("/tiers/?tier=inference", "/regions/", "/"):
        assert "–" in text(viewer, address)
    assert "+0 GPUs" not in text(viewer, "/tiers/?tier=inference")


def test_an_old_observation_is_dimmed_and_called_stale(viewer, fleet):
    observed(age_s=900)
    page = text(viewer, "/tiers/?tier=training")
    assert "Stale" in page
    assert "facts-old" in page


def test_a_cluster_that_does_not_answer_is_called_down(viewer, fleet):
    observed(age_s=900, reachable=False)
    assert "Source down" in text(viewer, "/tiers/?tier=training")


def test_htmx_gets_the_part_alone_and_it_is_the_pages_own(viewer, fleet):
    observed(at=timezone.now())
    page = text(viewer, "/tiers/?tier=training")
    part = text(
        viewer, "/tiers/?tier=training", **{"HX-Request": "true", "HX-Target": "tier-training"}
    )
    assert "<html" not in part
    assert 'id="tier-training"' in part
    shown = part[part.index("<dt>Nodes") : part.index("<dt>Above floor")]
    assert shown in page


def test_the_chart_answers_in_the_scope_and_range_of_the_address(viewer, fleet, metrics):
    metrics(timezone.now(), 5.0)
    figure = viewer.get("/tiers/training/chart?region=north&range=3h").json()
    gpus = next(trace for trace in figure["data"] if trace["name"] == "GPUs of the tier")
    assert {value for value in gpus["y"] if value is not None} == {16.0}
    assert figure["problem"] == ""


def test_the_chart_of_a_silent_source_says_so(viewer, fleet):
    figure = viewer.get("/tiers/training/chart").json()
    assert "main" in figure["problem"]
    assert not any(trace["name"] == "Busy" for trace in figure["data"])


def test_a_tier_that_does_not_exist_is_no_address(viewer, fleet):
    assert viewer.get("/tiers/gold/chart").status_code == 404


def test_a_viewer_may_not_run_a_cycle_and_is_told_who_may(viewer, fleet):
    assert "needs the right plan.propose (role planner)" in text(viewer, "/tiers/")
    assert viewer.post("/tiers/cycles/").status_code == 403
    assert not AuditRow.objects.filter(action="cycle.requested").exists()


def test_a_planner_asks_for_a_cycle_in_their_own_name(client, fleet):
    client.force_login(person("planner"))
    answer = client.post("/tiers/cycles/?region=north")
    assert answer["Location"] == "/tiers/?region=north"
    assert AuditRow.objects.get(action="cycle.requested").actor == "planner"
