"""Applying a fleet file changes the database to what it says, whole or not at all."""

import pytest
from django.core.management import CommandError, call_command

from infra_console.audit.models import AuditRow
from infra_console.fleet.models import Cluster, FleetSetting, Pool, Workload
from infra_console.fleet.queries import current_fleet, list_clusters
from infra_console.fleet.services import apply_fleet_config
from infra_console.overview.queries import armed_pairs
from infra_console.plans.models import Arming
from infra_console.plans.pages.gathered import arming_rows
from infra_console.plans.safety import arm, is_armed
from tests.people import person
from tests.tiers.factories import fleet_config, fleet_document
from tiers.doctor import check_fleet

pytestmark = pytest.mark.django_db


def test_apply_writes_identities_and_can_be_repeated():
    for _ in range(2):
        apply_fleet_config(fleet_config(), by="tester")
    assert [c.id for c in list_clusters()] == ["north"]
    assert Pool.objects.get().gpu_type == "H100"
    assert current_fleet() == fleet_config()


def test_what_left_the_file_leaves_the_database():
    apply_fleet_config(fleet_config(), by="tester")
    apply_fleet_config(fleet_config(workloads=fleet_document()["workloads"][:1]), by="tester")
    assert [w.id for w in Workload.objects.all()] == ["chat"]


def test_a_refused_file_changes_nothing(tmp_path):
    apply_fleet_config(fleet_config(), by="tester")
    path = tmp_path / "fleet.toml"
    path.write_text('schema = "fleet/1"')
    with pytest.raises(CommandError, match="The fleet stays as it was"):
        call_command("fleet_apply", str(path))
    assert Cluster.objects.count() == 1


@pytest.fixture
def armed_north():
    apply_fleet_config(fleet_config(), by="tester")
    arm("north", "training", by=person("operator"), hours=1)


def _elsewhere(**changes):
    (cluster,) = fleet_document()["clusters"]
    return fleet_config(clusters=[cluster | changes])


def test_the_same_context_stays_armed(armed_north):
    apply_fleet_config(fleet_config(), by="tester")
    assert is_armed("north", "training")


def test_a_cluster_whose_name_leads_elsewhere_is_disarmed_and_the_audit_says_so(armed_north):
    apply_fleet_config(_elsewhere(context="production"), by="tester")
    assert not is_armed("north", "training")
    assert not Arming.objects.exists()
    row = AuditRow.objects.get(action="cluster.disarmed")
    assert (row.actor, row.object_id) == ("tester", "north/training")
    apply_fleet_config(fleet_config(), by="tester")
    assert not is_armed("north", "training")


def test_an_arming_of_another_context_counts_nowhere(armed_north):
    Cluster.objects.update(context="production")
    assert not is_armed("north", "training")
    assert armed_pairs() == 0
    assert not any(cell.arming for row in arming_rows() for cell in row.cells)


def test_a_cluster_that_left_the_file_is_not_armed_when_it_returns(armed_north):
    Arming.objects.update(cluster="south")
    assert armed_pairs() == 0
    apply_fleet_config(fleet_config(), by="tester")
    assert not Arming.objects.exists()


def test_a_document_that_later_rules_refuse_is_read_and_the_doctor_says_why():
    apply_fleet_config(fleet_config(), by="tester")
    setting = FleetSetting.objects.get()
    chat = next(w for w in setting.document["workloads"] if w["id"] == "chat")
    setting.document["workloads"] += [{**chat, "id": "twin"}]  # two read one model's demand
    chat["slo_ttft_p95_ms"] = 1234.0  # no bucket edge
    setting.save()
    assert [w.id for w in current_fleet().workloads].count("twin") == 1
    (check,) = check_fleet()
    assert not check.ok
    assert "must be a bucket edge" in check.detail
    assert "fleet_apply" in check.remedy


def test_a_document_that_cannot_be_read_at_all_is_no_fleet_and_no_exception(caplog):
    FleetSetting.objects.create(id=1, document={"schema": "fleet/9"})
    assert current_fleet() is None
    assert "cannot be read" in caplog.text
    assert not check_fleet()[0].ok
