"""Two consoles never fight, and a database from the past writes nothing."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.cluster.leases import read_lease
from infra_console.plans.errors import NotOwned
from infra_console.plans.executing import executor
from infra_console.plans.holding.ownership import AUDIT_SEQ, LEASE, LEASE_S, hold, identity_in
from infra_console.plans.models import Console, Execution, ForeignLease, Plan
from infra_console.plans.services import abort_execution
from infra_console.plans.steps.node import AssignTier
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.conftest import let_lease_run_out
from tests.infra_console.plans.specs import NODE, spec

NAMESPACE = "infra-console"


def lease():
    return read_lease(CLUSTER, NAMESPACE, LEASE)


def become_another_console() -> None:
    Console.objects.all().delete()


def wait_out() -> None:
    """As if the other's Lease had not moved for longer than it lasts."""
    ForeignLease.objects.update(first_seen_at=timezone.now() - timedelta(seconds=LEASE_S + 1))


def restore_before(seq: int) -> None:
    """As if the database had been restored to when that audit row was not yet written."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrow DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM audit_auditrow WHERE seq >= %s", [seq])
        cursor.execute("ALTER TABLE audit_auditrow ENABLE TRIGGER USER")


def turn(plan) -> Plan:
    executor.execute(plan.id)
    Execution.objects.filter(plan=plan).update(not_before=None)
    return Plan.objects.get(id=plan.id)


def test_the_lease_names_this_console_and_is_renewed(twin):
    hold(CLUSTER)
    first = lease()
    assert first.holder == identity_in(CLUSTER)
    hold(CLUSTER)
    assert lease().holder == first.holder
    assert lease().renewed > first.renewed


def test_a_live_console_is_never_overruled_and_a_silent_one_is_followed(twin):
    hold(CLUSTER)
    become_another_console()
    for _ in range(2):
        with pytest.raises(NotOwned, match="another console"):
            hold(CLUSTER)
    wait_out()
    hold(CLUSTER)
    assert lease().holder == identity_in(CLUSTER)
    assert lease().transitions == 1


def test_a_renewal_by_the_other_starts_the_wait_anew(twin):
    hold(CLUSTER)
    other = Console.objects.get().identity
    become_another_console()
    with pytest.raises(NotOwned):
        hold(CLUSTER)
    mine = Console.objects.get().identity
    Console.objects.update(identity=other)
    hold(CLUSTER)
    Console.objects.update(identity=mine)
    wait_out()
    with pytest.raises(NotOwned):
        hold(CLUSTER)


def test_an_execution_on_anothers_cluster_halts_with_words_and_goes_on_later(twin, armed, approved):
    hold(CLUSTER)
    become_another_console()
    plan = turn(approved(spec()))
    assert plan.state == "executing"
    assert "another console" in Execution.objects.get(plan=plan).outcome
    assert twin.mutations() == []
    wait_out()
    assert turn(plan).state == "verified"


def test_a_rehearsal_takes_no_lease(twin, approved):
    assert turn(approved(spec())).state == "rehearsed"
    assert lease() is None


def test_a_restored_database_is_refused_by_the_cluster_that_remembers_more(twin, armed, approved):
    assert turn(approved(spec())).state == "verified"
    remembered = int(lease().annotations[AUDIT_SEQ])
    restore_before(remembered)
    written = twin.mutations()
    plan = turn(approved(spec(domain="other")))  # its rows take the numbers of those that are gone
    assert AuditRow.objects.filter(seq=remembered).exists()
    assert "was restored to an earlier time" in Execution.objects.get(plan=plan).outcome
    assert twin.mutations() == written


def die_while_held(monkeypatch, plan) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(AssignTier, "run", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        with pytest.raises(RuntimeError):
            executor.execute(plan.id)
    let_lease_run_out(plan)


def test_a_node_with_a_higher_epoch_freezes_the_plan(twin, armed, approved, monkeypatch):
    plan = approved(spec())
    die_while_held(monkeypatch, plan)
    twin.edit_node(NODE, metadata={"annotations": marked(twin, epoch=9)})
    written = twin.mutations()
    plan = turn(plan)
    assert plan.state == "paused"
    assert "carries epoch 9" in plan.state_reason
    assert twin.mutations() == written


def test_a_node_with_a_higher_epoch_is_not_cleared_up(twin, armed, approved, operator, monkeypatch):
    plan = approved(spec())
    die_while_held(monkeypatch, plan)
    twin.edit_node(NODE, metadata={"annotations": marked(twin, epoch=9)})
    abort_execution(plan.id, by=operator, reason="enough")
    turn(plan)
    assert twin.node(NODE)["spec"]["unschedulable"]
    assert "carries epoch 9" in Execution.objects.get(plan=plan).outcome


def marked(twin, *, epoch: int) -> dict[str, str]:
    return twin.node(NODE)["metadata"]["annotations"] | {"infra-console.dev/epoch": str(epoch)}
