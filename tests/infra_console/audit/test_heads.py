"""The signed head: what leaves the database, and what it proves about what stays."""

import json
import random
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from benchmarks.audit_tampers import PlainRow, forge, names
from infra_console.audit.heads import HeadsUnreadable, read_heads
from infra_console.audit.models import AuditRow
from infra_console.audit.proof import computed_hash
from infra_console.audit.queries import verify_chain
from infra_console.audit.services import export_head, record_audit
from infra_console.audit.tasks import export_head as export_task

FIELDS = ("seq", "at", "actor", "action", "object_kind", "object_id", "detail", "prev_hash", "hash")
TAMPERS, SEED = 200, 20_261_124

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def heads_file(tmp_path, settings):
    settings.AUDIT_HEADS_FILE = tmp_path / "heads" / "audit-heads.jsonl"
    return settings.AUDIT_HEADS_FILE


def record(rows: int, head_every: int = 0) -> None:
    for number in range(1, rows + 1):
        record_audit(
            actor="ada", action="done", object_kind="thing", object_id=str(number), detail={"n": 1}
        )
        if head_every and number % head_every == 0:
            export_head()


def rewrite(rows: list[PlainRow]) -> None:
    """What somebody who owns the database can do."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrow DISABLE TRIGGER USER")
    AuditRow.objects.all().delete()
    AuditRow.objects.bulk_create(AuditRow(**vars(row)) for row in rows)


def stored() -> list[PlainRow]:
    return [PlainRow(**row) for row in AuditRow.objects.order_by("seq").values(*FIELDS)]


def test_two_hundred_random_tampers_are_all_found():
    record(40, head_every=8)
    sound, rng, missed = stored(), random.Random(SEED), []
    assert verify_chain().ok
    for number in range(TAMPERS):
        forged, first, made_right = forge(sound, rng)
        with transaction.atomic():
            rewrite(forged)
            report = verify_chain()
            transaction.set_rollback(True)
        if report.ok or not names(report, first, made_right=made_right):
            missed.append((number, first, report))
    assert not missed, f"seed {SEED}: {missed[:3]}"
    assert verify_chain().ok


def test_a_head_is_written_once_a_row_and_told_in_the_log(heads_file, caplog, settings):
    assert export_task() == 0
    record(3)
    with caplog.at_level("INFO"):
        assert export_task() == export_task() == 3
    assert caplog.text.count("audit head") == 2
    (head,) = read_heads(heads_file, key=settings.AUDIT_KEY)
    assert (head.seq, head.hash) == (3, AuditRow.objects.get(seq=3).hash)
    record(1)
    export_task()
    assert [h.seq for h in read_heads(heads_file, key=settings.AUDIT_KEY)] == [3, 4]


def test_a_head_signed_by_another_key_is_refused(heads_file, settings):
    record(2)
    export_head()
    with pytest.raises(HeadsUnreadable, match="line 1"):
        read_heads(heads_file, key="another")
    line = json.loads(heads_file.read_text()) | {"seq": 1}
    heads_file.write_text(json.dumps(line) + "\n")
    report = verify_chain()
    assert (report.ok, report.broken_at) == (False, 1)
    assert "not signed by our key" in report.problem


def test_rows_cut_off_after_the_last_head_are_not_seen_and_the_report_says_how_far_it_reaches():
    record(5, head_every=4)
    rewrite(stored()[:4])
    report = verify_chain()
    assert (report.ok, report.proven_to, report.head_seq) == (True, 4, 4)


def test_a_trail_rewritten_with_right_hashes_is_named_from_the_head_before():
    record(9, head_every=3)
    rows = stored()
    forged = [*rows[:4], *rows[5:]]
    made, head = [], rows[3].hash
    for seq, row in enumerate(forged[4:], start=5):
        fields = vars(row) | {"seq": seq, "prev_hash": head}
        fields["hash"] = head = computed_hash(PlainRow(**fields))
        made.append(PlainRow(**fields))
    rewrite([*forged[:4], *made])
    report = verify_chain()
    assert report.broken_at == 4
    assert report.problem == "rows 4 to 6 are not those of the head exported at 6"


def test_the_command_exits_1_and_names_the_first_row_that_is_gone():
    record(6, head_every=6)
    rewrite(stored()[:2])
    out = StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("verify_audit", stdout=out)
    assert "Broken at 3: rows 3 to 6 are gone" in out.getvalue()


def test_the_command_says_when_nothing_was_exported():
    record(1)
    out = StringIO()
    call_command("verify_audit", stdout=out)
    assert "No exported head" in out.getvalue()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_auditrow SET at = now()",
        "DELETE FROM audit_auditrow",
        "TRUNCATE audit_auditrow",
    ],
)
def test_the_table_refuses_every_way_to_take_back(sql):
    record(1)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrow ENABLE TRIGGER audit_no_truncate")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(sql)
    assert AuditRow.objects.get().at <= timezone.now()
