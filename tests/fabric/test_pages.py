"""The page shows each store's state, the points, the audit, and an answer beside the exact one."""

import pytest

from fabric.adapters.folder import Folder
from fabric.checks import check_fabric_stores
from fabric.doctor import check_stores
from fabric.ingest import ingest_folder
from fabric.models import RecallAudit, StoreIndex
from fabric.overview import recall_card
from infra_console.overview.scope import Scope
from tests.people import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(client):
    client.force_login(person("viewer"))
    return client


@pytest.fixture
def made(folder, state):
    return ingest_folder(
        Folder(folder), name="made", by="ada", stores=["faiss"], partition_by="team",
        rights={"viewer": ["blue"]},
    )  # fmt: skip


def ask(viewer, **query):
    return viewer.get("/fabric/", query, headers={"HX-Request": "true", "HX-Target": "answer"})


def test_without_a_collection_the_page_says_how_to_add_one(viewer):
    assert "manage.py fabric_ingest DIR" in viewer.get("/fabric/").content.decode()
    assert viewer.get("/fabric/chart").json()["problem"] == "Nothing was measured yet."


def test_stores_points_and_audit_are_on_the_page(viewer, made):
    page = viewer.get("/fabric/").content.decode()
    assert "300 of 300 documents" in page
    assert "Audited recall is unknown" in page
    RecallAudit.objects.create(
        collection=made, at=made.created_at, queries=300, recall=0.994, recall_lower=0.9899,
        below_80=0, target=0.992, until=1, raised={"faiss": [16, 32]},
    )  # fmt: skip
    page = viewer.get("/fabric/").content.decode()
    assert "0.9940, at least 0.9899" in page
    assert "short of the target" in page
    assert "effort raised from 16 to 32" in page
    points, best = viewer.get("/fabric/chart").json()["data"]
    assert points["name"] == "made in faiss"
    assert "exact" in points["text"]
    assert best["y"] == sorted(best["y"])


def test_an_answer_stands_beside_the_exact_one_and_keeps_to_the_rights(viewer, made):
    page = ask(viewer, collection="made", q="s3w1 s3w2").content.decode()
    assert "the fastest whose recall is at least 0.992" in page
    assert "recall 1.00" in page
    hidden = set(made.documents.filter(partition="red").values_list("key", flat=True))
    assert not [key for key in hidden if f">{key}<" in page]


def test_what_cannot_be_asked_is_said_and_texts_are_escaped(viewer, made):
    assert (
        "no word that the collection knows"
        in ask(viewer, collection="made", q="?!").content.decode()
    )
    page = ask(viewer, collection="<b>gone</b>", q="x").content.decode()
    assert "&lt;b&gt;gone" in page


def test_a_damaged_index_is_a_state_on_page_and_doctor_and_the_answer_is_partial(
    viewer, made, state
):
    (path,) = (state / "fabric" / "faiss").glob("*.npz")
    path.write_bytes(path.read_bytes()[:-50])
    from fabric import stores

    stores.close_stores()
    page = viewer.get("/fabric/").content.decode()
    assert "damaged" in page
    assert "is not what was written" in page
    (check,) = check_stores()
    assert not check.ok
    assert "damaged" in check.detail
    assert "A partial answer" in ask(viewer, collection="made", q="s3w1").content.decode()


def test_the_first_page_tells_of_recall_and_of_an_index_that_cannot_serve(viewer, made):
    card = recall_card(Scope())
    assert card.alerts == ()
    page = viewer.get("/").content.decode()
    assert "made" in page
    RecallAudit.objects.create(
        collection=made, at=made.created_at, queries=300, recall=0.98, recall_lower=0.97,
        below_80=0, target=0.992, until=1,
    )  # fmt: skip
    StoreIndex.objects.update(state="failed", problem="down: refused")
    short, failed = recall_card(Scope()).alerts
    assert "0.9800" in short.text
    assert failed.text == "made cannot be searched in faiss: down: refused"


def test_a_store_that_leads_nowhere_is_refused_at_start(settings):
    assert check_fabric_stores() == []
    settings.FABRIC_STORES = {
        "typo": "fabric.adapters.pgvectors.PgvectorStore",
        "none": "fabric.adapters.pgvector.NoStore",
        "other": "fabric.adapters.folder.Folder",
    }
    found = [problem.id for problem in check_fabric_stores()]
    assert found == ["fabric.E001", "fabric.E001", "fabric.E002"]


def test_the_doctor_counts_documents(made):
    (check,) = check_stores()
    assert (check.ok, check.detail) == (True, "300 documents")
    StoreIndex.objects.all().delete()
    assert "no collection yet" in check_stores()[0].detail
