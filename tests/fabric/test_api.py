"""The fabric over HTTP: what its page shows, questions within rights, proposals."""

import pytest
from django.test import Client

from fabric.adapters.folder import Folder
from fabric.ingest import ingest_folder
from fabric.models import QueryLog, RecallAudit, StoreIndex
from infra_console.access.services import issue_token
from infra_console.plans.models import Plan
from tests.people import person

pytestmark = pytest.mark.django_db
BASE = "/api/v1/fabric/collections"


@pytest.fixture
def made(folder, state):
    return ingest_folder(
        Folder(folder), name="made", by="ada", stores=["faiss"], partition_by="team",
        rights={"viewer": ["blue"], "planner": ["*"]},
    )  # fmt: skip


def caller(*roles, scopes=("view",)):
    _, text = issue_token(user=person(*roles), name="t", scopes=list(scopes), by="t")
    return Client(headers={"Authorization": f"Bearer {text}"})


def post(client, path, body):
    return client.post(f"{BASE}/{path}", body, "application/json")


def test_without_a_collection_the_list_is_empty(db):
    assert caller("viewer").get(BASE).json() == {"items": []}
    assert caller("planner").get(f"{BASE}/none").status_code == 404


def test_a_collection_tells_of_its_stores_points_and_audits(made):
    viewer = caller("viewer")
    (found,) = viewer.get(BASE).json()["items"]
    assert viewer.get(f"{BASE}/made").json() == found
    assert (found["documents"], found["audit"]) == (300, None)
    (store,) = found["stores"]
    assert (store["store"], store["state"], store["indexed"]) == ("faiss", "ready", 300)
    assert store["built_with"] == {"m": 32, "ef_construction": 200}
    assert store["may_be"]["m"] == {"low": 4, "high": 100, "usual": 32}
    assert sum(point["chosen"] for point in store["points"]) == 1
    assert store["points"][0]["exact"] and store["points"][0]["recall_lower"] == 1
    for n in range(3):
        RecallAudit.objects.create(
            collection=made, at=made.created_at, queries=300, recall=0.99 + n / 1000,
            recall_lower=0.98, below_80=0, target=0.992, until=n,
        )  # fmt: skip
    first = viewer.get(f"{BASE}/made/audits?limit=2").json()
    rest = viewer.get(f"{BASE}/made/audits", {"cursor": first["next_cursor"]}).json()
    recalls = [a["recall"] for a in first["items"] + rest["items"]]
    assert recalls == pytest.approx([0.992, 0.991, 0.99])
    assert viewer.get(f"{BASE}/made").json()["audit"]["recall"] == pytest.approx(0.992)


def test_a_question_keeps_to_the_rights_explains_itself_and_is_logged(made):
    answer = post(caller("viewer"), "made/ask", {"text": "s3w1 s3w2", "k": 5}).json()
    assert len(answer["hits"]) == 5
    assert {hit["partition"] for hit in answer["hits"]} == {"blue"}
    assert answer["proven"] and not answer["partial"]
    assert answer["asked"][0]["store"] == "faiss"
    assert any("the fastest whose recall is at least" in reason for reason in answer["reasons"])
    assert QueryLog.objects.get().partitions == ["blue"]
    narrowed = {"text": "s3w1", "partitions": ["red"]}
    planner = caller("planner")
    assert {h["partition"] for h in post(planner, "made/ask", narrowed).json()["hits"]} == {"red"}


def test_what_cannot_be_asked_is_a_problem(made):
    viewer = caller("viewer")
    assert post(viewer, "none/ask", {"text": "x"}).status_code == 404
    answer = post(viewer, "made/ask", {"text": "?!"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert post(viewer, "made/ask", {"text": "s3w1", "k": 1000}).status_code == 422


def test_a_rebuild_is_proposed_in_the_callers_name_where_they_may(made):
    wish = {"store": "faiss", "parameters": {"m": 48, "ef_construction": 300}}
    assert post(caller("viewer"), "made/rebuild", wish).status_code == 403
    planner = caller("planner", scopes=["view", "plan.propose"])
    refused = post(planner, "made/rebuild", {**wish, "parameters": {"m": 1000}})
    assert (refused.status_code, Plan.objects.count()) == (422, 0)
    answer = post(planner, "made/rebuild", wish)
    plan = Plan.objects.get()
    assert (answer.status_code, answer.json()["number"]) == (201, plan.number)
    assert (plan.state, plan.authors) == ("proposed", ["planner"])
    StoreIndex.objects.update(state="failed")
    assert post(planner, "made/rebuild", wish).status_code == 422
