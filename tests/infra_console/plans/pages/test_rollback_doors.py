"""The doors of a rollback: page, API and shell show the same and call the same."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from infra_console.access.services import issue_token
from infra_console.cluster.reads import list_pods
from infra_console.plans.looking import rollback_preview
from infra_console.plans.looking.answers import answer
from infra_console.plans.looking.looks import ask_look
from infra_console.plans.looking.rollback_preview import objects_back
from infra_console.plans.models import Plan, Step
from infra_console.plans.models.looks import LookKind
from infra_console.plans.spec import Guard
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.executing.test_execution import work
from tests.infra_console.plans.specs import NODE, TIER_KEY, spec
from tests.people import person


def as_role(*roles: str) -> Client:
    client = Client()
    client.force_login(person(*roles, name=f"{roles[0]}-page"))
    return client


def look(plan: Plan) -> None:
    """As a worker with cluster rights does when it is asked."""
    ask_look(plan.id, LookKind.WAY_BACK, by="tests")
    answer(plan.id, LookKind.WAY_BACK)


@pytest.fixture
def done(twin, armed, approved) -> Plan:
    return work(approved(spec()))


def test_the_preview_says_what_stands_now_what_would_then_and_who_leaves(twin, done):
    (node,) = objects_back(done)
    assert (node.name, node.now, node.then) == (
        NODE,
        f"{TIER_KEY}=inference, open to new pods",
        f"{TIER_KEY}=training, open to new pods",
    )
    assert [title.split()[0] for title in node.steps] == ["Close", "Empty", "Give", "Open"]
    assert node.stops == ()


def test_the_preview_names_a_floor_and_a_foreign_change_before_they_stop_it(twin, armed, approved):
    guard = Guard(cluster=CLUSTER, tier="inference", min_ready_gpus=10_000)
    plan = work(approved(spec(guards=(guard,))))
    assert "below its floor" in objects_back(plan)[0].stops[0]
    twin.edit_node(NODE, spec={"unschedulable": True})
    assert "closed by somebody else" in objects_back(plan)[0].stops[0]
    twin.edit_node(NODE, metadata={"labels": {TIER_KEY: "operational"}})
    assert "set by somebody else" in objects_back(plan)[0].stops[0]


def test_the_preview_names_who_would_be_evicted(twin, done, monkeypatch):
    pods = list_pods(CLUSTER)
    leaving = {f"{p.namespace}/{p.name}" for p in pods if not p.stays_on_drain}
    monkeypatch.setattr(rollback_preview, "list_pods", lambda *_, **__: pods)
    (node,) = objects_back(done)
    assert set(node.evicts) == leaving
    look(done)
    page = as_role("viewer").get(f"/plans/{done.id}/way-back/").content.decode()
    assert min(leaving) in page


def test_a_cluster_that_cannot_be_read_is_unknown_and_not_hidden(twin, done):
    twin.run(twin.servers.partition(CLUSTER))
    (node,) = objects_back(done)
    assert node.now.startswith("unknown from here")
    assert "open to new pods" in node.then and "=" in node.then  # what was recorded is known
    look(done)
    page = as_role("viewer").get(f"/plans/{done.id}/way-back/").content.decode()
    assert "nobody" not in page and node.evicts is None


def test_the_page_previews_says_which_right_is_missing_and_starts_it(twin, done):
    address = f"/plans/{done.id}/way-back/"
    viewer = as_role("viewer")
    assert "is to look first" in viewer.get(address).content.decode()
    look(done)
    page = viewer.get(address).content.decode()
    assert "a worker looked" in page
    assert "needs the right execution.control" in page
    assert f"{TIER_KEY}=training" in page
    assert "Preview the rollback" in viewer.get(f"/plans/{done.id}/").content.decode()
    assert viewer.post(f"/plans/{done.id}/rollback", {"reason": "mine"}).status_code == 403
    operator = as_role("operator")
    answer = operator.post(f"/plans/{done.id}/rollback", {"reason": "slower"}, follow=True)
    assert "The way back" in answer.content.decode()
    assert Plan.objects.get(id=done.id).state == "rolling_back"


def test_the_timeline_shows_the_way_back_apart(twin, done, operator):
    roll_back(done.id, by=operator, reason="slower")
    page = as_role("viewer").get(f"/plans/{done.id}/").content.decode()
    forward, back = page.split('<h3 class="mt-2">The way back</h3>')
    assert "4 of 4 steps ended" in forward
    assert "Close" in back


def test_the_api_previews_and_orders_it(twin, done):
    user = person("operator", name="caller")
    _, text = issue_token(user=user, name="t", scopes=["view", "execution.control"], by="t")
    client, address = (
        Client(headers={"Authorization": f"Bearer {text}"}),
        f"/api/v1/plans/{done.id}/rollback",
    )
    assert client.get(address).json()["seen_at"] is None
    look(done)
    found = client.get(address).json()
    assert found["seen_at"]
    assert (found["allowed"], found["objects"][0]["name"]) == (True, NODE)
    refused = client.post(address, {"reason": ""}, "application/json")
    assert (refused.status_code, refused.json()["code"]) == (422, "reason-missing")
    answer = client.post(address, {"reason": "slower"}, "application/json").json()
    assert answer["state"] == "rolling_back"
    assert sum(step["back"] for step in answer["steps"]) == 4
    again = client.post(address, {"reason": "slower"}, "application/json")
    assert (again.status_code, again.json()["code"]) == (409, "wrong-state")


def test_the_shell_orders_it_in_somebodys_name(twin, done, operator):
    words = ("rollback", str(done.number), "--reason", "slower")
    with pytest.raises(CommandError, match="execution"):
        call_command("plans", *words, "--as", person("viewer", name="v").username)
    out = StringIO()
    call_command("plans", *words, "--as", operator.username, "--json", stdout=out)
    assert json.loads(out.getvalue())["state"] == "rolling_back"
    assert Step.objects.filter(plan=done, back=True).count() == 4
