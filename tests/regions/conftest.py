"""A served fleet with routes, and people, for the tests that carry plans of routes out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from infra_console.cluster.client import close_clients
from infra_console.fleet.models import Cluster, FleetSetting, Region
from infra_console.plans import services
from infra_console.plans.executing import runner
from infra_console.plans.models import Plan
from infra_console.plans.spec import PlanSpec
from regions import route_step
from tests.people import person
from tests.regions import routed
from tests.regions.routed import PLACES, Fleet, Users
from tiers.twin.kube.tls import TlsFiles, ensure_tls


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return ensure_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def named_fleet(db: None) -> None:
    document = routed.fleet_document()
    for row in document["regions"]:
        region = Region.objects.create(**row)
        Cluster.objects.create(id=region.id, context=region.id, region=region)
    FleetSetting.objects.create(id=1, document=document)


@pytest.fixture
def users() -> Users:
    return Users({"eastus": 1200.0, "westus2": 200.0, "uksouth": 200.0})


@pytest.fixture
def fleet(
    named_fleet: None, tls: TlsFiles, users: Users, tmp_path: Path, settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Fleet]:  # fmt: skip
    """Three clusters that the settings' kubeconfig leads to; each region has room for 10/s."""
    monkeypatch.setattr(routed, "ROOM", dict.fromkeys(PLACES, 10.0))
    monkeypatch.setattr(route_step, "POLL_S", 0.05)
    monkeypatch.setattr(route_step, "UNSURE_S", 0.05)
    monkeypatch.setattr(runner, "CONFLICT_RETRY_S", 0.05)
    monkeypatch.setattr(runner, "WORK_S", 2.0)
    settings.REGION_LOADS = "tests.regions.routed.loads"
    with Fleet(tmp_path, tls, users) as running:
        settings.KUBECONFIG = str(tmp_path / "executor")
        yield running
        close_clients()


@pytest.fixture
def approver(db: None) -> User:
    return person("approver")


@pytest.fixture
def operator(db: None) -> User:
    return person("operator")


@pytest.fixture
def armed(named_fleet: None, operator: User) -> None:
    for place in PLACES:
        services.arm(place, "inference", by=operator, hours=1)


@pytest.fixture
def approved(approver: User) -> Callable[[PlanSpec], Plan]:
    def make(spec: PlanSpec) -> Plan:
        plan = services.propose_plan(spec, authors=["planner"])
        return services.approve_plan(plan.id, by=approver, plan_hash=plan.hash, reason="fits")

    return make
