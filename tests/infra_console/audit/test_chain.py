"""The audit trail: a chain that shows any change, and a table that refuses it."""

import json
import threading
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from infra_console.audit.chain import plain_json
from infra_console.audit.models import AuditRow
from infra_console.audit.queries import verify_chain
from infra_console.audit.services import record_audit


def record(number: int = 1, **detail) -> int:
    return record_audit(
        actor="ada", action="test.done", object_kind="thing", object_id=str(number), detail=detail
    )


def tamper(sql: str) -> None:
    """What somebody with the database owner's rights could do."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrow DISABLE TRIGGER audit_append_only")
        cursor.execute(sql)
        cursor.execute("ALTER TABLE audit_auditrow ENABLE TRIGGER audit_append_only")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "detail",
    [
        {},
        {"share": 0.1, "whole": 3.0, "huge": 1e300, "tiny": 1e-9, "unknown": float("nan")},
        {"text": 'é "x" \u2192 \x00', "at": datetime(2026, 1, 2, tzinfo=UTC), "list": (1, "a")},
        {1: {"b": [None, True], "a": -0.0}},
    ],
)
def test_a_chain_of_any_detail_is_sound(detail):
    record()
    record_audit(actor="a", action="b", object_kind="c", object_id="d", detail=detail)
    record()
    report = verify_chain()
    assert report.ok, report
    assert (report.rows, report.head_seq) == (3, 3)


def test_unknown_numbers_become_null_not_zero():
    assert plain_json({"p95": float("inf")}) == {"p95": None}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sql", "broken_at"),
    [
        ("UPDATE audit_auditrow SET actor='eve' WHERE seq=2", 2),
        ("UPDATE audit_auditrow SET detail='{\"x\": 2}' WHERE seq=3", 3),
        ("UPDATE audit_auditrow SET at=at + interval '1 second' WHERE seq=1", 1),
        ("DELETE FROM audit_auditrow WHERE seq=2", 2),
        ("DELETE FROM audit_auditrow WHERE seq=1", 1),
        (
            "UPDATE audit_auditrow SET seq=99 WHERE seq=2;"
            "UPDATE audit_auditrow SET seq=2 WHERE seq=3;"
            "UPDATE audit_auditrow SET seq=3 WHERE seq=99",
            2,
        ),
    ],
)
def test_an_edit_a_deletion_and_a_reordering_are_found(sql, broken_at):
    for number in range(1, 5):
        record(number, x=number)
    tamper(sql)
    report = verify_chain()
    assert report.broken_at == broken_at
    assert report.problem


@pytest.mark.django_db
@pytest.mark.parametrize(
    "sql", ["UPDATE audit_auditrow SET actor='eve'", "DELETE FROM audit_auditrow"]
)
def test_the_table_refuses_update_and_delete(sql):
    record()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(sql)
    assert AuditRow.objects.get().actor == "ada"


@pytest.mark.django_db(transaction=True)
def test_writers_at_once_make_one_chain():
    def write(first: int) -> None:
        for number in range(first, first + 10):
            record(number)
        connection.close()

    threads = [threading.Thread(target=write, args=(n * 10,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify_chain()
    assert (report.ok, report.rows, report.head_seq) == (True, 40, 40)


@pytest.mark.django_db
def test_the_command_says_where_the_chain_broke():
    for number in range(3):
        record(number)
    tamper("UPDATE audit_auditrow SET action='nothing' WHERE seq=2")
    out = StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("verify_audit", "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert (report["ok"], report["broken_at"]) == (False, 2)
