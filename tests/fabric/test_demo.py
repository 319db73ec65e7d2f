"""The demo's fabric has a collection, operating points and an audit of its own."""

from time import process_time

import pytest

from fabric.demo import NAME, seed_demo, write_notes
from fabric.models import Collection, QueryLog, RecallAudit, StoreIndex
from fabric.overview import recall_card
from infra_console.overview.scope import Scope

pytestmark = pytest.mark.django_db


def test_it_is_taken_in_asked_and_audited_once(settings, state):
    settings.DEMO = True
    began = process_time()
    assert seed_demo() == "taken in, asked and audited"
    assert process_time() - began < 15  # a start is not held up for it
    made = Collection.objects.get()
    assert (made.name, made.state, made.documents.count()) == (NAME, "ready", 400)
    assert set(StoreIndex.objects.values_list("state", flat=True)) == {"ready"}
    audit = RecallAudit.objects.get()
    assert audit.queries == QueryLog.objects.count() == 120
    assert audit.recall_lower >= audit.target
    assert recall_card(Scope()).context["rows"] == [(made, audit)]
    assert seed_demo() == "there already"
    assert QueryLog.objects.count() == 120


def test_outside_the_demo_nothing_is_taken_in(settings, state):
    settings.DEMO = False
    assert seed_demo() == "not the demo"
    assert not Collection.objects.exists()


def test_the_same_notes_are_written_each_time(tmp_path):
    first = (write_notes(tmp_path / "a") / "corpus.jsonl").read_bytes()
    assert first == (write_notes(tmp_path / "b") / "corpus.jsonl").read_bytes()
