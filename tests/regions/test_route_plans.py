"""A plan of routes on the twin, from proposal to settled, and with a region lost meanwhile."""

import json
import time
from datetime import timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command
from django.utils import timezone

from infra_console.plans import services
from infra_console.plans.errors import NotAllowed
from infra_console.plans.executing import executor
from infra_console.plans.models import Execution, Plan, Step
from infra_console.plans.settling import verification
from infra_console.plans.settling.settlement import settle_due
from infra_console.telemetry import queries as telemetry
from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.series import RawSeries
from infra_console.telemetry.sources import BoundSource
from regions.models import Drain, RouteLook
from regions.services import ask_for_routes, drain, look_at_routes, open_again
from tests.infra_console.kube import audit_event
from tests.infra_console.plans.targets import work
from tests.people import person
from tests.regions import routed
from tests.regions.routed import MODEL, PLACES
from tiers.twin.kube.resources import NODES

RATE = "cluster_model_to:gateway_routed:rate2m"
SHARE = "cluster_model_to:gateway_routed:ratio2m"


@pytest.fixture
def source(monkeypatch):
    held = MemorySource({})
    bound = (BoundSource("main", frozenset(PLACES), 15.0, held),)
    for place in (telemetry, verification):
        monkeypatch.setattr(place, "current_sources", lambda: bound)
    telemetry.forget_cached()
    yield held
    telemetry.forget_cached()


@pytest.fixture
def measure(fleet, source):
    """Let a second go by and keep what the gateways counted meanwhile, as the rules would."""

    def run() -> None:
        time.sleep(0.3)  # what is in flight of the weights before
        began_s, before = fleet.counted()
        time.sleep(1.5)
        ended_s, after = fleet.counted()
        found: dict[tuple[str, str], float] = {}
        for (place, region, code), sent in after.items():
            rise = sent - before.get((place, region, code), 0)
            found[place, region] = found.get((place, region), 0.0) + rise / (ended_s - began_s)
        keep(source, found)

    def keep(source, found):
        now = timezone.now().timestamp()
        times = now - np.arange(10.0)[::-1]  # the grid of a span may end seconds ago
        total = {p: sum(n for (place, _), n in found.items() if place == p) for p in PLACES}

        def series(name, value, **labels):
            return RawSeries({"__name__": name, **labels}, times, np.full(10, value))

        rates, shares = [], []
        for (place, region), rps in found.items():
            labels = {"cluster": place, "model": MODEL, "to": region}
            rates.append(series(RATE, rps, **labels))
            shares.append(series(SHARE, rps / total[place] if total[place] else 0.0, **labels))
        up = [series("up", 1.0, cluster=place, job="vllm") for place in PLACES]
        source.data = {RATE: rates, SHARE: shares, "up": up}
        telemetry.forget_cached()

    return run


@pytest.fixture
def judge(fleet, tmp_path):
    nodes = tmp_path / "nodes.json"
    held = [n for store in fleet.world.stores.values() for n in fleet.call(store.all, NODES)]
    nodes.write_text(json.dumps({"items": held}, default=str))

    def run() -> dict:
        words, out = ["--nodes", str(nodes)], StringIO()
        for place in PLACES:
            path = tmp_path / f"{place}.log"
            requests = [r for r in list(fleet.log.recent) if r.cluster == place]
            path.write_text("".join(json.dumps(audit_event(r)) + "\n" for r in requests))
            words += ["--apiserver-audit", f"{place}={path}"]
        try:
            call_command("check_invariants", "--json", *words, stdout=out)
        except SystemExit as ended:
            assert ended.code == 1
        return json.loads(out.getvalue())

    return run


@pytest.fixture
def proposed(fleet, measure, armed):
    """What somebody asked for while eastus is asked more than it has room for."""
    routed.ROOM.update(dict.fromkeys(PLACES, 1000.0))
    measure()
    row = look_at_routes(by="ann")
    assert row.plan_number, (row.problem, row.document)
    return Plan.objects.get(number=row.plan_number)


def approve(plan, approver):
    return services.approve_plan(plan.id, by=approver, plan_hash=plan.hash, reason="fits")


def settle(plan):
    """As if the metrics had had their time, and the horizon had passed."""
    Execution.objects.filter(plan=plan).update(
        verify_until=timezone.now() - timedelta(seconds=1), not_before=None
    )
    executor.execute(plan.id)
    Execution.objects.filter(plan=plan).update(
        verified_at=timezone.now() - timedelta(seconds=60), settle_at=timezone.now()
    )
    settle_due()
    plan.refresh_from_db()


def test_a_plan_of_routes_goes_from_proposal_to_settled(proposed, approver, fleet, measure, judge):
    (step,) = proposed.spec.steps
    assert step.target.cluster == "eastus"
    split = step.params["to"]
    assert sum(split.values()) == 100
    assert split[f"{MODEL}-westus2"] >= 10 and split[f"{MODEL}-uksouth"] == 0
    assert all(n <= 1000.0 for n in step.params["into"].values())
    assert set(step.params["without"]) == {"westus2"}
    assert proposed.authors == ["ann"]
    plan = work(approve(proposed, approver), turns=2)
    assert plan.state == "verifying", plan.state_reason
    assert fleet.weights("eastus") == {r.removeprefix(f"{MODEL}-"): p for r, p in split.items()}
    measure()
    settle(plan)
    assert plan.state == "settled", plan.state_reason
    west = next(p for p in plan.settlement.promises if p["op"] == ">=")
    assert [p["kept"] for p in plan.settlement.promises] == [True, True], west
    assert west["realised"] == pytest.approx(split[f"{MODEL}-westus2"] / 100, abs=0.12)
    answer = judge()
    assert answer["violations"] == 0, answer


def test_a_region_lost_while_it_is_carried_out_gets_nothing_and_the_plan_is_settled(
    proposed, approver, fleet, measure, judge
):
    routed.ROOM["westus2"] = None  # it waits before its write
    plan = approve(proposed, approver)
    executor.execute(plan.id)
    plan.refresh_from_db()
    assert plan.state == "executing"
    fleet.lose("westus2")
    routed.ROOM["westus2"] = 1000.0
    Execution.objects.filter(plan=plan).update(not_before=None)
    plan = work(plan, turns=2)
    assert plan.state == "verifying", plan.state_reason
    assert "westus2 is lost and gets nothing" in Step.objects.get(plan=plan).detail
    weights = fleet.weights("eastus")
    assert weights["westus2"] == 0 and weights["uksouth"] >= 10
    assert sum(weights.values()) == 100
    measure()
    settle(plan)
    assert plan.state == "settled", plan.state_reason
    by_op = {p["op"]: p for p in plan.settlement.promises}
    assert by_op["<="]["kept"] is True  # eastus is relieved as planned
    assert by_op[">="]["kept"] is None  # nothing was ever sent to westus2, so nothing is measured
    assert ("westus2", "503") not in fleet.sent("eastus")
    answer = judge()
    assert answer["violations"] == 0, answer


def test_a_look_in_nobodys_name_proposes_nothing(fleet, measure, armed):
    routed.ROOM.update(dict.fromkeys(PLACES, 1000.0))
    measure()
    row = look_at_routes()
    assert row.plan_number is None and not Plan.objects.exists()
    (east,) = [r for r in row.document["routes"] if r["cluster"] == "eastus"]
    assert east["now"] == {"eastus": 100, "westus2": 0, "uksouth": 0}
    assert east["then"]["westus2"] >= 10
    assert east["rps"] == pytest.approx(1200, rel=0.2)


def test_without_metrics_nothing_is_proposed_and_it_says_why(fleet, source):
    row = look_at_routes(by="ann")
    assert row.plan_number is None
    (model,) = row.document["models"]
    assert "requests unknown from" in model["reason"]


def test_who_drains_is_an_author_of_the_plan_that_empties_the_region(fleet, measure, armed):
    routed.ROOM.update(dict.fromkeys(PLACES, 4000.0))
    drain("eastus", by=person("planner", name="dee"), reason="works on the mains")
    measure()
    plan = Plan.objects.get(number=look_at_routes(by="ann").plan_number)
    assert plan.authors == ["ann", "dee"]
    (step,) = plan.spec.steps
    assert step.params["to"][f"{MODEL}-eastus"] == 0
    assert "drained" in plan.spec.moves[0].reason
    open_again("eastus", by=person("admin"))
    assert not Drain.objects.exists()


def test_only_who_may_propose_asks_or_drains(named_fleet):
    viewer = person("viewer")
    with pytest.raises(NotAllowed):
        ask_for_routes(by=viewer)
    with pytest.raises(NotAllowed):
        drain("eastus", by=viewer, reason="x")
    assert not (Drain.objects.exists() or RouteLook.objects.exists())


def test_a_task_that_runs_twice_asks_once(fleet, measure, armed):
    routed.ROOM.update(dict.fromkeys(PLACES, 1000.0))
    measure()
    row = ask_for_routes(by=person("planner"))
    look_at_routes(ask_id=row.pk)
    look_at_routes(ask_id=row.pk)
    assert Plan.objects.count() == 1
    assert RouteLook.objects.count() == 1


def test_without_a_kubeconfig_no_region_is_called_lost(named_fleet, settings):
    settings.KUBECONFIG = ""
    row = look_at_routes()
    assert "no kubeconfig" in row.problem
    assert row.document is None
