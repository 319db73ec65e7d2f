"""The ledger page: sums, contract, waiting work; unknown said; imports by those who may."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.utils import timezone

from infra_console.fleet.models import Reservation
from tests.observations import observed
from tests.people import person
from tests.tiers.factories import fleet_config
from tiers.core.fleet_state import FleetState, PodView
from tiers.facts import fleet_facts
from tiers.ledger_keep import Extras, keep_ledger

pytestmark = pytest.mark.usefixtures("fleet")
CSV = b"id,start,end,gpus,pool\nr-1,2020-01-01,2099-01-01,32,north/H100/reserved\n"


@pytest.fixture
def viewer(client):
    client.force_login(person("viewer"))
    return client


def page(client, address="/tiers/ledger/", **headers):
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def kept(state):
    observed()
    keep_ledger(
        fleet_facts(fleet_config()), FleetState({"north": state}), Extras(), now=timezone.now()
    )


def test_before_the_first_look_the_page_says_so(viewer):
    assert "No data yet" in page(viewer)


def test_the_sum_is_the_fleet_and_no_difference_is_claimed(viewer, north):
    kept(north)
    text = page(viewer)
    assert "together <strong>24</strong> of <strong>24</strong> GPUs" in text
    assert "does not add up" not in text


def test_a_difference_to_the_fleet_is_named(viewer, north):
    kept(north)
    observed(gpus=32)
    assert "The ledger does not add up: north: 24 in the ledger, 32 observed" in page(viewer)


def test_a_cluster_never_read_is_in_no_sum_and_named(viewer):
    observed(reachable=False, gpus=None, seen_at=None, ledger={}, tiers={}, workloads={})
    assert "Never read, so their GPUs are in no sum: north" in page(viewer)


def test_groups_and_states_are_in_the_address(viewer, north):
    kept(north)
    text = page(viewer, "/tiers/ledger/?by=tier&state=serving&region=north")
    assert "serving, node by node" in text
    assert "<td>i1</td>" in text
    assert "By cluster" in page(viewer, "/tiers/ledger/?by=<script>")


def test_waiting_work_says_why_and_that_its_start_is_unknown(viewer, north):
    from dataclasses import replace

    pod = PodView("training", "big-0", "", "Pending", None, 16, "training", "training", "big")
    kept(replace(north, pods=(*north.pods, pod)))
    text = page(viewer)
    assert "16 GPUs asked for, 8 free in its tier" in text
    assert "<td>unknown</td>" in text


def test_the_part_that_refreshes_is_the_pages_own(viewer, north):
    kept(north)
    part = page(viewer, **{"HX-Request": "true", "HX-Target": "ledger"})
    assert "<html" not in part
    assert 'id="ledger"' in part


def test_an_admin_imports_the_contract_list_and_a_bad_one_changes_nothing(client, north):
    client.force_login(person("admin"))
    kept(north)
    client.post("/tiers/ledger/reservations", {"file": SimpleUploadedFile("c.csv", CSV)})
    assert Reservation.objects.get().gpus == 32
    assert "8 GPUs of r-1 are paid for and not seen" in page(client)
    bad = SimpleUploadedFile("c.csv", b"id,gpus\n")
    answer = client.post("/tiers/ledger/reservations", {"file": bad}, follow=True)
    assert "The contract list stays as it was" in answer.content.decode()
    assert Reservation.objects.count() == 1


def test_a_viewer_may_not_import_and_is_told_who_may(viewer, north):
    kept(north)
    assert "needs the right fleet.manage (role admin)" in page(viewer)
    answer = viewer.post("/tiers/ledger/reservations", {"file": SimpleUploadedFile("c.csv", CSV)})
    assert answer.status_code == 403
    assert not Reservation.objects.exists()


def test_the_command_adds_up_or_says_where_not(north, capsys):
    kept(north)
    with pytest.raises(SystemExit) as well:
        call_command("ledger", "--by", "tier", "--json")
    told = json.loads(capsys.readouterr().out)
    assert well.value.code == 0
    assert told["totals"] == {"serving": 8, "training": 8, "free-usable": 8}
    observed(gpus=32)
    with pytest.raises(SystemExit) as wanting:
        call_command("ledger")
    assert wanting.value.code == 1
    assert "north: 24 in the ledger, 32 observed" in capsys.readouterr().out
