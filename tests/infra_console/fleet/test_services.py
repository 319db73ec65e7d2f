"""Applying a fleet file changes the database to what it says, whole or not at all."""

import pytest
from django.core.management import CommandError, call_command

from infra_console.fleet.models import Cluster, Pool, Workload
from infra_console.fleet.queries import current_fleet, list_clusters
from infra_console.fleet.services import apply_fleet_config
from tests.tiers.factories import fleet_config, fleet_document

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
