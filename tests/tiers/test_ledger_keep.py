"""What each look writes: lots with since when, waiting work, and who changed what."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.db import connection

from infra_console.fleet.models import Reservation
from infra_console.telemetry.catalogue import main_query, spec_of
from infra_console.telemetry.series import RawSeries
from tests.tiers.conftest import node
from tests.tiers.factories import fleet_config
from tiers import cycle as cycles
from tiers.core.fleet_state import FleetState, PodView, is_supply
from tiers.core.health import GpuFault, remap_fault, with_faults, xid_fault
from tiers.core.waiting import Ask
from tiers.errors import ObservationRunning
from tiers.extras import read_faults
from tiers.facts import fleet_facts
from tiers.ledger_keep import Extras, keep_ledger
from tiers.ledger_queries import ledger_page, waiting_work
from tiers.models import FleetChange, LedgerLot

pytestmark = pytest.mark.usefixtures("fleet")
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def _now_is_now(monkeypatch):
    """This file may be read long before its tests run, and its samples would be stale."""
    monkeypatch.setitem(globals(), "NOW", datetime.now(UTC).replace(microsecond=0))


class FixedFleet:
    def __init__(self, state):
        self.state = state

    def read(self, _clusters):
        return self.state


@pytest.fixture
def look(monkeypatch, metrics):
    """Observe a state as a worker does, with the metrics of the moment."""

    def at(now, state):
        metrics(now, 9.0)
        monkeypatch.setattr(cycles, "fleet_reader", lambda *_, **__: FixedFleet(state))
        return cycles.observe(now=now)

    return at


def test_the_ledger_sums_to_the_fleet_and_keeps_since_when(look, north):
    look(NOW - timedelta(hours=1), FleetState({"north": north}))
    sick = replace(north, nodes=(*north.nodes[:2], replace(north.nodes[2], ready=False)))
    look(NOW, FleetState({"north": sick}))
    page = ledger_page(by="tier", now=NOW)
    assert page.totals == {"serving": 8, "training": 8, "broken": 8}
    assert (page.fleet, page.difference) == (24, "")
    assert [(lot.node, lot.state, lot.since) for lot in page.lots] == [("t2", "broken", NOW)]
    serving = LedgerLot.objects.get(state="serving", until=None)
    assert serving.since == NOW - timedelta(hours=1)
    assert LedgerLot.objects.get(state="free-usable").until == NOW


def test_a_second_look_at_the_same_time_is_left_out(look, north):
    state, other = FleetState({"north": north}), connection.copy()
    with other.cursor() as worker:
        worker.execute("SELECT pg_advisory_lock(%s)", [cycles.OBSERVATION_LOCK])
        with pytest.raises(ObservationRunning):
            look(NOW, state)
        worker.execute("SELECT pg_advisory_unlock(%s)", [cycles.OBSERVATION_LOCK])
    other.close()
    assert look(NOW, state).document["clusters"]["north"]["reachable"]


def test_a_look_that_sees_the_same_writes_no_history(look, north):
    for minutes in (2, 1, 0):
        look(NOW - timedelta(minutes=minutes), FleetState({"north": north}))
    assert LedgerLot.objects.count() == 3
    assert not FleetChange.objects.exists()


def test_a_silent_cluster_is_unknown_since_it_was_last_seen_and_comes_back_as_it_was(look, north):
    look(NOW - timedelta(minutes=9), FleetState({"north": north}))
    for minutes in (5, 4):
        look(NOW - timedelta(minutes=minutes), FleetState({}, {"north": "timed out"}))
    page = ledger_page(by="cluster", now=NOW)
    assert page.totals == {"unknown": 24}
    assert page.rows[0].oldest_wanting == NOW - timedelta(minutes=9)
    look(NOW, FleetState({"north": north}))
    assert ledger_page(by="cluster", now=NOW).totals["serving"] == 8
    assert LedgerLot.objects.filter(until=None).latest("since").since < NOW
    words = [c.words for c in FleetChange.objects.order_by("at")]
    assert words == ["does not answer: timed out", "answers again"]


def test_a_failed_or_pending_row_remap_is_a_fault_and_remapped_rows_alone_are_none():
    assert remap_fault(1, None, 2) == (
        "a memory row could not be remapped (2 remapped for uncorrectable errors)"
    )
    assert remap_fault(None, 1, None) == "a row remap waits for a reset of the GPU"
    assert remap_fault(0, 0, 3) == remap_fault(None, None, None) == ""


def test_a_gpu_with_a_failed_remap_is_broken_in_the_ledger_and_no_supply(
    look, north, metrics, monkeypatch
):
    labels = {"cluster": "north", "node": "t2", "gpu": "3", "UUID": "GPU-3"}
    at = np.array([NOW.timestamp()])
    told = {
        main_query(spec_of(f"row_remap_{what}"), {}): [RawSeries(labels, at, np.array([value]))]
        for what, value in (("failure", 1.0), ("rows", 2.0))
    }

    def with_remaps(now, rps):
        source = metrics(now, rps)
        source.data = {**source.data, **told}

    monkeypatch.setattr(
        cycles, "fleet_reader", lambda *_, **__: FixedFleet(FleetState({"north": north}))
    )
    with_remaps(NOW, 9.0)
    cycles.observe(now=NOW)
    page = ledger_page(by="tier", now=NOW)
    assert page.totals["broken"] == 1
    assert page.fleet == 24
    (broken,) = [lot for lot in page.lots if lot.state == "broken"]
    assert broken.why == "a memory row could not be remapped (2 remapped for uncorrectable errors)"
    (fault,) = read_faults()
    sick = with_faults(FleetState({"north": north}), [fault]).clusters["north"].nodes[2]
    assert (sick.name, is_supply(sick)) == ("t2", False)


def test_a_hardware_xid_makes_one_gpu_broken_and_an_applications_none():
    assert xid_fault(79) == "XID 79: the GPU fell off the bus"
    assert xid_fault(31) == xid_fault(0) == xid_fault(None) == xid_fault(2.0**63) == ""
    state = FleetState({"north": _one_node()})
    fault = GpuFault("north", "n", "GPU-1", "XID 79")
    twice = with_faults(state, [fault, replace(fault, why="remap failed")])
    assert twice.clusters["north"].nodes[0].sick == 1


def _one_node():
    from tiers.core.fleet_state import ClusterState

    return ClusterState("north", "north", "kubernetes", (node("n", "training"),), (), ())


def test_foreign_changes_are_told_apart_from_a_plans(look, north):
    look(NOW - timedelta(minutes=1), FleetState({"north": north}))
    tainted = replace(north.nodes[1], foreign="tainted sick.example/xid", unschedulable=True)
    scaled = replace(north.deployments[0], replicas=3)
    changed = replace(north, nodes=(north.nodes[0], tainted, north.nodes[2]), deployments=(scaled,))
    look(NOW, FleetState({"north": changed}))
    told = {(c.kind, c.object, c.words, c.plan) for c in FleetChange.objects.all()}
    assert told == {
        ("cordon", "t1", "cordoned", None),
        ("taint", "t1", "tainted sick.example/xid", None),
        ("replicas", "inference/chat", "2 → 3 replicas", None),
    }


def test_waiting_work_is_since_we_saw_it_where_the_cluster_does_not_say(look, north):
    pod = PodView(
        "training", "train-2-0", "", "Pending", None, 8, "training", "training", "train-2"
    )
    full = replace(north, nodes=north.nodes[:2], pods=(*north.pods, pod))
    look(NOW - timedelta(minutes=3), FleetState({"north": full}))
    look(NOW, FleetState({"north": full}))
    (work,) = waiting_work()
    assert (work.name, work.gpus, work.reason) == ("train-2", 8, "GPUs")
    assert (work.since, work.since_told) == (NOW - timedelta(minutes=3), False)
    look(NOW, FleetState({"north": north}))
    assert waiting_work() == []


def test_what_kueue_says_goes_before_our_arithmetic(north):
    said = Ask("training", "job-x", "training", 16, 8, since=NOW, said=("is on hold",))
    extras = Extras({"north": ([said], [])})
    facts = fleet_facts(fleet_config())
    keep_ledger(facts, FleetState({"north": north}), extras, now=NOW)
    (work,) = waiting_work()
    assert (work.reason, work.since_told, work.starts_by) == ("held", True, None)


def test_the_contract_is_held_against_the_pools(look, north):
    Reservation.objects.create(
        id="r-1", start=NOW - timedelta(days=1), end=NOW + timedelta(days=9), gpus=32,
        pool="north/H100/reserved", source="c.csv", imported_at=NOW, imported_by="admin",
    )  # fmt: skip
    look(NOW, FleetState({"north": north}))
    (line,) = ledger_page(by="pool", now=NOW).contract
    assert (line.contracted, line.seen) == (32, 24)
    assert line.words == "8 GPUs of r-1 are paid for and not seen"
