"""An answer keeps to the rights, says why it is what it is, and names who did not answer."""

import time
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from fabric import asking, tasks
from fabric.adapters.embedder import kept_embedder
from fabric.adapters.faiss import FaissStore
from fabric.adapters.folder import Folder
from fabric.asking import ask
from fabric.auditing import audit_collection, is_short
from fabric.core.errors import FabricInvalid, NothingToEmbed
from fabric.errors import StoreUnavailable, UnknownCollection
from fabric.ingest import ingest_folder
from fabric.models import Collection, Document, OperatingPoint, QueryLog, RecallAudit, StoreIndex
from fabric.stores import store_named
from fabric.truth import read_truth
from infra_console.audit.models import AuditRow

pytestmark = pytest.mark.django_db
TEXT = "s3w1 s3w2 s3w5 word4"
RIGHTS = {"viewer": ["blue"], "admin": ["*"]}


@pytest.fixture
def made(folder, state):
    return ingest_folder(
        Folder(folder), name="made", by="ada", stores=["faiss", "pgvector"], rights=RIGHTS,
        partition_by="team",
    )  # fmt: skip


def exact_keys(collection, text, partitions, k=10):
    truth = read_truth(collection)
    (vector,), _ = kept_embedder(collection.embedder).embed([text])
    inside = np.isin(truth.partitions, partitions)
    order = np.argsort(1 - truth.vectors[inside] @ vector, kind="stable")[:k]
    return set(
        Document.objects.filter(pk__in=truth.ids[inside][order]).values_list("key", flat=True)
    )


def keys(answer):
    return {hit.document.key for hit in answer.hits}


def test_the_answer_is_the_exact_one_within_the_rights_and_says_why(made):
    answer = ask("made", TEXT, roles=["viewer"])
    assert keys(answer) == exact_keys(made, TEXT, ["blue"])
    assert {hit.document.partition for hit in answer.hits} == {"blue"}
    assert not answer.partial
    assert answer.route.reasons[0] == "1 partition within the rights"
    assert "the fastest whose recall is at least 0.992" in answer.route.reasons[-1]


def test_asking_for_more_than_the_rights_gives_nothing_more(made):
    answer = ask("made", TEXT, roles=["viewer"], partitions=["red"])
    assert answer.hits == ()
    assert answer.partial
    assert ask("made", TEXT, roles=["guest"]).hits == ()
    assert not QueryLog.objects.exists()


def test_a_store_that_returns_what_it_must_not_is_overruled(made, monkeypatch):
    everything = asking.search_with
    whole = asking.Scope(frozenset({"red", "blue"}))
    monkeypatch.setattr(
        asking, "search_with", lambda *a, **named: everything(*a, **{**named, "scope": whole})
    )
    assert {h.document.partition for h in ask("made", TEXT, roles=["viewer"]).hits} == {"blue"}


def _chosen(answer):
    (item,) = answer.route.asks
    return item.store


def test_a_store_that_is_down_is_named_and_another_answers(made, monkeypatch):
    first = _chosen(ask("made", TEXT, roles=["viewer"]))

    def refuse(*args, **named):
        raise StoreUnavailable(first, "connection refused")

    for verb in ("search", "exact"):
        monkeypatch.setattr(store_named(first), verb, refuse)
    answer = ask("made", TEXT, roles=["viewer"])
    assert answer.partial
    assert answer.problems == {first: "down: connection refused"}
    assert _chosen(answer) != first
    assert keys(answer) == exact_keys(made, TEXT, ["blue"])


def test_a_store_beyond_its_time_limit_is_named_slow(made, monkeypatch):
    first = _chosen(ask("made", TEXT, roles=["viewer"]))
    OperatingPoint.objects.exclude(index__store=first).delete()
    StoreIndex.objects.exclude(store=first).delete()
    Collection.objects.update(limit_ms=300)
    for verb in ("search", "exact"):
        monkeypatch.setattr(store_named(first), verb, lambda *a, **n: time.sleep(0.5))
    answer = ask("made", TEXT, roles=["viewer"])
    assert answer.hits == ()
    assert answer.problems == {first: "slow: no answer within 300 ms"}


def test_a_wrong_dimension_is_a_state_with_a_partial_answer(made, monkeypatch):
    first = _chosen(ask("made", TEXT, roles=["viewer"]))
    real = asking.spec_of
    monkeypatch.setattr(
        asking, "spec_of",
        lambda c, i: replace(real(c, i), dimension=7) if i.store == first else real(c, i),
    )  # fmt: skip
    answer = ask("made", TEXT, roles=["viewer"])
    assert answer.problems[first].startswith(("wrong dimension", "damaged"))
    assert len(answer.hits) == 10


def test_a_half_indexed_store_is_left_out_and_said_so(made):
    StoreIndex.objects.filter(store="faiss").update(indexed=120)
    answer = ask("made", TEXT, roles=["viewer"])
    assert answer.route.left_out == {"faiss": "half-indexed: 120 of 300 documents"}
    assert answer.partial
    assert len(answer.hits) == 10


def test_where_no_point_reaches_the_target_several_stores_are_fused(made):
    OperatingPoint.objects.update(recall_lower=0.9)
    answer = ask("made", TEXT, roles=["admin"])
    assert {item.store for item in answer.route.asks} == {"faiss", "pgvector"}
    assert answer.partial
    assert any(len(hit.ranked.stores) == 2 for hit in answer.hits)
    assert len(keys(answer)) == 10


@pytest.mark.parametrize(
    ("text", "k", "problem"), [("?!", 10, NothingToEmbed), (TEXT, 0, FabricInvalid)]
)
def test_a_question_that_makes_no_sense_is_refused(made, text, k, problem):
    with pytest.raises(problem):
        ask("made", text, roles=["viewer"], k=k)
    with pytest.raises(UnknownCollection):
        ask("nowhere", TEXT, roles=["viewer"])


def _log(made, effort, *, lost, count=120):
    """Logged answers of which every `lost`-th misses half of its ten."""
    truth = read_truth(made)
    whole = asking.Scope(frozenset(truth.partitions.tolist()))
    for i in range(count):
        vector = truth.vectors[i]
        ids, _ = truth.exact(vector, 20, whole)
        results = [*ids[:5], *(ids[15:20] if lost and i % lost == 0 else ids[5:10])]
        QueryLog.objects.create(
            collection=made, at=made.created_at, vector=vector.tobytes(), k=10, ms=1, partial=False,
            partitions=["blue", "red"], asks=[["faiss", effort]], results=[int(r) for r in results],
        )  # fmt: skip


def test_an_audit_that_falls_short_raises_the_effort_and_says_so(made):
    effort = FaissStore.efforts[0]
    _log(made, effort, lost=4)
    audit = audit_collection(made, seed=1)
    assert audit.queries == 120
    assert audit.recall == pytest.approx(0.875, abs=0.01)
    assert audit.recall_lower < audit.recall
    assert audit.below_80 == pytest.approx(0.25, abs=0.01)
    assert audit.raised == {"faiss": [effort, FaissStore.efforts[1]]}
    assert StoreIndex.objects.get(store="faiss").least_effort == FaissStore.efforts[1]
    assert AuditRow.objects.latest("seq").action == "fabric.effort_raised"
    for item in ask("made", TEXT, roles=["admin"]).route.asks:
        assert item.store != "faiss" or item.effort == 0 or item.effort > effort


def test_an_audit_that_holds_changes_nothing_and_judges_each_question_once(made):
    _log(made, 64, lost=0)
    audit = audit_collection(made, seed=1)
    assert (audit.recall, audit.raised) == (1.0, {})
    assert audit.recall_lower >= audit.target
    assert StoreIndex.objects.get(store="faiss").least_effort == 0
    assert audit_collection(made, seed=1) is None


def test_a_sample_too_small_to_prove_the_target_raises_nothing():
    assert not is_short([1.0] * 30, 10, 0.992)
    assert not is_short([0.5] * 30, 10, 0.992)
    assert is_short([0.5] * 100, 10, 0.992)
    assert not is_short([1.0] * 100, 10, 0.992)


def test_what_was_asked_is_audited(made):
    for i in range(3):
        ask("made", f"s{i}w1 s{i}w2", roles=["viewer"])
    tasks.audit()
    audit = RecallAudit.objects.get()
    assert (audit.queries, audit.recall) == (3, 1.0)


def test_the_command_answers_as_a_role_with_the_reasons(made):
    out = StringIO()
    call_command("fabric_query", "made", TEXT, role="viewer", stdout=out)
    assert len([line for line in out.getvalue().splitlines() if line.startswith("0.")]) == 10
    assert "- 1 partition within the rights" in out.getvalue()
    assert not QueryLog.objects.exists()
    with pytest.raises(CommandError, match="no collection 'nowhere'"):
        call_command("fabric_query", "nowhere", TEXT)
