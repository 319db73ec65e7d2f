"""Ingest goes on where it was killed, nothing is there twice, a failed store is named."""

from functools import partial
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from fabric import filling, ingest
from fabric.adapters.embedder import fit_embedder
from fabric.adapters.folder import Folder
from fabric.adapters.memory import MemoryStore
from fabric.asking import ask
from fabric.core.errors import FabricInvalid
from fabric.errors import IngestRunning
from fabric.ingest import ingest_folder
from fabric.models import Collection, Document, OperatingPoint, QueryLog, StoreIndex
from fabric.stores import spec_of, store_named
from infra_console.audit.models import AuditRow

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """As a signal would end the process: no handler of ours sees it."""


def take_in(folder, **options):
    given = {"name": "made", "by": "ada", "stores": ["faiss"], **options}
    return ingest_folder(Folder(folder), **given)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch, state):
    monkeypatch.setattr(filling, "BATCH", 80)
    monkeypatch.setattr(ingest, "BATCH", 80)


def test_documents_indexes_and_points_are_there_after_one_run(folder):
    seen = []
    made = take_in(folder, stores=["faiss", "pgvector"], progress=lambda *said: seen.append(said))
    assert (made.state, made.documents.count(), made.skipped) == ("ready", 300, 0)
    for index in StoreIndex.objects.all():
        assert (index.state, index.indexed, index.problem) == ("ready", 300, "")
        efforts = list(index.points.values_list("effort", flat=True))
        assert efforts[0] == 0
        assert len(efforts) > 1
        assert index.points.get(effort=0).recall_lower == 1
    assert ("documents", 160, 300) in seen
    assert AuditRow.objects.latest("seq").action == "fabric.collection_added"


def test_killed_between_batches_it_goes_on_and_nothing_is_there_twice(folder):
    def die_late(stage, done, total):
        if stage == "documents" and done >= 160:
            raise Killed

    with pytest.raises(Killed):
        take_in(folder, progress=die_late)
    assert Document.objects.count() == 160
    assert Collection.objects.get().state == "ingesting"
    first = list(Document.objects.order_by("pk").values_list("pk", flat=True))
    made = take_in(folder)
    assert made.state == "ready"
    assert Document.objects.count() == Document.objects.values("key").distinct().count() == 300
    assert list(Document.objects.order_by("pk").values_list("pk", flat=True))[:160] == first
    assert StoreIndex.objects.get().indexed == 300


@pytest.mark.parametrize("store", ["faiss", "pgvector"])
def test_killed_while_indexing_the_index_ends_whole(folder, store):
    def die_late(stage, done, total):
        if stage == store and done >= 160:
            raise Killed

    with pytest.raises(Killed):
        take_in(folder, stores=[store], progress=die_late)
    half = StoreIndex.objects.get()
    assert (half.state, half.indexed) == ("building", 160)
    made = take_in(folder, stores=[store])
    assert store_named(store).health(spec_of(made, half)).indexed == 300
    assert StoreIndex.objects.get().state == "ready"


def test_running_again_changes_nothing(folder):
    made = take_in(folder)
    again = take_in(folder)
    assert (again.pk, again.embedder) == (made.pk, made.embedder)
    assert Document.objects.count() == 300
    assert StoreIndex.objects.count() == 1
    assert AuditRow.objects.filter(action="fabric.collection_added").count() == 1


def test_a_lost_embedding_is_learned_again_and_is_the_same(folder, state):
    made = take_in(folder)
    for path in (state / "fabric" / "embedders").iterdir():
        path.unlink()
    ingest.kept_embedder.cache_clear()
    assert take_in(folder).embedder == made.embedder


def test_where_a_lost_embedding_cannot_be_had_again_everything_starts_over(
    folder, state, monkeypatch
):
    made = take_in(folder)
    ask("made", "s3w1 s3w2", roles=["viewer"])
    for path in (state / "fabric" / "embedders").iterdir():
        path.unlink()
    ingest.kept_embedder.cache_clear()
    monkeypatch.setattr(ingest, "fit_embedder", partial(fit_embedder, dimension=12))
    again = take_in(folder)
    assert (again.pk, again.dimension) == (made.pk, 12)
    assert Document.objects.count() == 300
    assert not QueryLog.objects.exists()
    assert len(list((state / "fabric" / "faiss").glob("*.npz"))) == 1
    assert len(ask("made", "s3w1 s3w2", roles=["viewer"]).hits) == 10


def test_a_store_that_fails_is_kept_with_its_reason_and_the_others_serve(folder, settings):
    settings.FABRIC_STORES = {**settings.FABRIC_STORES, "gone": "fabric.adapters.gone.GoneStore"}
    made = take_in(folder, stores=["faiss", "gone"])
    assert made.state == "ready"
    gone = StoreIndex.objects.get(store="gone")
    assert gone.state == "failed"
    assert gone.problem.startswith("not installed")
    assert StoreIndex.objects.get(store="faiss").state == "ready"
    assert not OperatingPoint.objects.filter(index=gone).exists()


def test_documents_without_a_known_word_are_counted_and_left_out(tmp_path, folder):
    lines = (folder / "corpus.jsonl").read_text().splitlines()[:60]
    lines.append('{"_id": "odd", "title": "", "text": "?!"}')
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    made = take_in(tmp_path)
    assert (made.documents.count(), made.skipped) == (60, 1)


def test_a_name_that_holds_another_corpus_is_refused(tmp_path, folder):
    take_in(folder)
    (tmp_path / "corpus.jsonl").write_text((folder / "corpus.jsonl").read_text() + "\n")
    with pytest.raises(FabricInvalid, match="another corpus"):
        take_in(tmp_path)


def test_rights_given_later_hold_at_once_and_are_audited(folder):
    made = take_in(folder, partition_by="team")
    assert len(ask("made", "s3w1", roles=["viewer"]).hits) == 10
    take_in(folder, rights={"admin": ["*"]})
    assert ask("made", "s3w1", roles=["viewer"]).hits == ()
    assert AuditRow.objects.latest("seq").action == "fabric.rights_changed"
    take_in(folder)  # resumed without words about rights: they stay
    made.refresh_from_db()
    assert (made.rights, made.partition_by) == ({"admin": ["*"]}, "team")
    with pytest.raises(FabricInvalid, match="go by team"):
        take_in(folder, partition_by="language")


@pytest.mark.parametrize("rights", ['"*"', '{"viewer": "*"}', '{"viewer": [1]}', "[]"])
def test_rights_with_a_slip_open_nothing(folder, rights):
    with pytest.raises(CommandError, match="lists of partitions by role"):
        call_command("fabric_ingest", str(folder), "--rights", rights)
    assert not Collection.objects.exists()


def test_two_at_once_are_one_too_many(folder):
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext('fabric:made'))")
        with pytest.raises(IngestRunning):
            take_in(folder)
    finally:
        other.close()
    assert not Collection.objects.exists()


def test_the_command_says_how_far_it_is_and_where_a_file_is_wrong(folder, tmp_path):
    out = StringIO()
    call_command("fabric_ingest", folder, stores=["faiss"], stdout=out)
    assert "documents: 300 of 300" in out.getvalue()
    assert "made-texts: 300 documents" in out.getvalue()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1"}')
    with pytest.raises(CommandError, match="line 1"):
        call_command("fabric_ingest", tmp_path, stores=["faiss"])


def test_memory_keeps_the_promise_that_a_restart_is_half_indexed():
    assert MemoryStore().health(spec_of(Collection(dimension=2), StoreIndex(pk=1))).indexed == 0
