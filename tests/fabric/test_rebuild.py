"""An index is built anew as a plan: beside the one in use, proven, switched to, and taken back."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from fabric import building, filling
from fabric.adapters.faiss import FaissStore
from fabric.adapters.folder import Folder
from fabric.adapters.pgvector import PgvectorStore
from fabric.asking import ask
from fabric.building import tend_builds
from fabric.core.errors import FabricInvalid
from fabric.errors import StoreUnavailable
from fabric.ingest import ingest_folder
from fabric.models import IndexBuild, OperatingPoint, StoreIndex
from fabric.rebuild_plans import propose_rebuild
from fabric.stores import spec_of, store_named
from infra_console.audit.models import AuditRow
from infra_console.plans import services
from infra_console.plans.errors import NotAllowed
from infra_console.plans.executing import executor
from infra_console.plans.looking.policy import policy_checks
from infra_console.plans.looking.rehearsal import rehearse
from infra_console.plans.models import Execution, LockRow, Plan, Step
from infra_console.plans.settling.settlement import settle_due
from infra_console.plans.taking_back.rollback import roll_back
from infra_console.telemetry import sources
from tests.people import person

pytestmark = pytest.mark.django_db
NEW = {"m": 48, "ef_construction": 300}


class Killed(BaseException):
    """As a signal would end the process."""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch, state):
    monkeypatch.setattr(filling, "BATCH", 80)


@pytest.fixture
def store():
    return "faiss"


@pytest.fixture
def made(folder, state, store):
    return ingest_folder(Folder(folder), name="made", by="ada", stores=[store])


@pytest.fixture
def proposed(made, store):
    return propose_rebuild("made", store, NEW, by=person("planner", name="ann"))


def approve(plan):
    by = person("approver", name=f"bo-{plan.number}")
    return services.approve_plan(plan.id, by=by, plan_hash=plan.hash, reason="fits")


def turn(plan):
    """One turn of a worker, that waits for nothing."""

    class Over(Exception):
        """The step waits."""

    def wait(_seconds):
        raise Over

    Execution.objects.filter(plan=plan).update(not_before=None, lease_expires_at=None)
    Step.objects.filter(plan=plan).update(next_try_at=None)
    with suppress(Over):
        executor.execute(plan.id, sleep=wait)
    plan.refresh_from_db()
    return plan


def carry_out(plan):
    """To the end of verification, the builder at work between the turns."""
    turn(approve(plan))
    tend_builds(now=timezone.now())
    turn(plan)
    tend_builds(now=timezone.now())
    return turn(plan)


def index():
    return StoreIndex.objects.get()


def health(which):
    return store_named(which.index.store).health(spec_of(which.index.collection, which)).state


@pytest.mark.parametrize("store", ["faiss", "pgvector"])
def test_from_proposal_to_settled_and_back(proposed, store):
    before, points = index(), list(OperatingPoint.objects.values_list("effort", "recall_lower"))
    asked = ask("made", "s3w1 s3w2", roles=["viewer"])
    plan = turn(approve(proposed))
    assert plan.state == "executing"
    build = IndexBuild.objects.get()
    assert (build.state, build.generation, index().generation) == ("building", 1, 0)
    assert LockRow.objects.get().cluster == "own:fabric/made"
    turn(plan)
    assert "0 of 300 documents" in Step.objects.get().detail
    tend_builds(now=timezone.now())
    build.refresh_from_db()
    assert (build.state, build.indexed) == ("built", 300), build.problem
    assert index().generation == 0
    turn(plan)
    assert plan.state == "verifying", plan.state_reason
    now = index()
    assert (now.generation, now.parameters, now.indexed) == (1, NEW, 300)
    assert "at least" in Step.objects.get().detail
    assert Execution.objects.get().verified_at is None  # it is to be measured in use first
    tend_builds(now=timezone.now())
    turn(plan)
    assert Execution.objects.get().verified_at is not None
    again = ask("made", "s3w1 s3w2", roles=["viewer"])
    assert [h.ranked.id for h in again.hits] == [h.ranked.id for h in asked.hits]
    Execution.objects.update(settle_at=timezone.now())
    settle_due()
    plan.refresh_from_db()
    assert plan.state == "settled", plan.state_reason
    (kept,) = plan.settlement.promises
    assert kept["kept"] is True and kept["realised"] >= 0.992
    tend_builds(now=timezone.now())
    former = IndexBuild.objects.get()
    assert (former.state, former.generation, health(former)) == ("kept", 0, "ready")

    roll_back(plan.id, by=person("operator"), reason="slower than before")
    turn(plan)
    assert plan.state == "rolled_back", plan.state_reason
    back = index()
    assert (back.generation, back.parameters) == (before.generation, before.parameters)
    assert list(OperatingPoint.objects.values_list("effort", "recall_lower")) == points
    assert ask("made", "s3w1", roles=["viewer"]).hits
    dropped = spec_of(back.collection, IndexBuild.objects.get())
    tend_builds(now=timezone.now())
    assert not IndexBuild.objects.exists()
    assert store_named(store).health(dropped).state == "not built"
    actions = list(AuditRow.objects.values_list("action", flat=True))
    assert actions.count("fabric.index_switched") == 2
    assert actions.count("step.written") == 3


@pytest.mark.parametrize("store", ["pgvector"])
def test_a_killed_build_goes_on_where_it_was(proposed, monkeypatch):
    turn(approve(proposed))
    real, added = PgvectorStore.add, []

    def die_late(self, spec, batch):
        if len(added) == 2:
            raise Killed
        added.append(len(batch.ids))
        real(self, spec, batch)

    monkeypatch.setattr(PgvectorStore, "add", die_late)
    with pytest.raises(Killed):
        tend_builds(now=timezone.now())
    build = IndexBuild.objects.get()
    assert (build.state, build.indexed) == ("building", 160)
    added.insert(0, 0)
    tend_builds(now=timezone.now())
    build.refresh_from_db()
    assert (build.state, build.indexed, added) == ("built", 300, [0, 80, 80, 80, 60])


def test_a_worker_killed_between_switch_and_record_switches_once(proposed, monkeypatch):
    turn(approve(proposed))
    tend_builds(now=timezone.now())
    real = executor.Runner._record
    monkeypatch.setattr(executor.Runner, "_record", lambda *_: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        turn(proposed)
    assert index().generation == 1
    monkeypatch.setattr(executor.Runner, "_record", real)
    assert turn(proposed).state == "verifying"
    assert AuditRow.objects.filter(action="fabric.index_switched").count() == 1


def test_what_does_not_reach_the_target_is_not_switched_to_and_is_dropped(proposed, monkeypatch):
    turn(approve(proposed))
    real = building.measured

    def poor(*args):
        return [p if p.effort == 0 else type(p)(**{**_as_dict(p), "recall_lower": 0.97})
                for p in real(*args)]  # fmt: skip

    monkeypatch.setattr(building, "measured", poor)
    tend_builds(now=timezone.now())
    plan = turn(proposed)
    assert plan.state == "failed"
    assert "at least 0.9700" in plan.state_reason
    assert index().generation == 0
    assert health(IndexBuild.objects.get()) == "not built"
    tend_builds(now=timezone.now())
    assert ask("made", "s3w1", roles=["viewer"]).hits


def _as_dict(point):
    return {name: getattr(point, name) for name in point.__dataclass_fields__}


def test_a_store_that_is_away_is_waited_for(proposed, monkeypatch):
    turn(approve(proposed))
    real = FaissStore.create
    monkeypatch.setattr(
        FaissStore, "create", lambda *_: (_ for _ in ()).throw(StoreUnavailable("faiss", "no disk"))
    )
    tend_builds(now=timezone.now())
    turn(proposed)
    assert "down: no disk" in Step.objects.get().detail
    monkeypatch.setattr(FaissStore, "create", real)
    tend_builds(now=timezone.now())
    assert turn(proposed).state == "verifying"


def test_an_aborted_plan_leaves_nothing_behind(proposed):
    turn(approve(proposed))
    tend_builds(now=timezone.now())
    operator = person("operator")
    services.pause_execution(proposed.id, by=operator)
    services.abort_execution(proposed.id, by=operator, reason="not now")
    turn(proposed)
    roll_back(proposed.id, by=operator, reason="tidy")
    assert turn(proposed).state == "rolled_back"
    assert not IndexBuild.objects.exists()
    assert index().generation == 0


def test_the_former_index_goes_when_it_is_too_late_to_go_back(proposed, settings):
    plan = carry_out(proposed)
    assert plan.state == "verifying", plan.state_reason
    Execution.objects.update(settle_at=timezone.now())
    settle_due()
    late = timezone.now() - timedelta(seconds=settings.ROLLBACK_WITHIN_S + 60)
    Execution.objects.update(finished_at=late)
    tend_builds(now=timezone.now())
    assert not IndexBuild.objects.exists()
    assert ask("made", "s3w1", roles=["viewer"]).hits


def test_looked_at_before_its_approval_nothing_is_built_and_no_cluster_is_asked(proposed, state):
    files = sorted(path.name for path in (state / "fabric" / "faiss").iterdir())
    seen = rehearse(proposed)
    assert [step["passed"] for step in seen["steps"]] == [True]
    assert "300 documents would be indexed with m 48" in seen["steps"][0]["detail"]
    assert (seen["unread"], seen["owners"], seen["drift"]["changes"]) == ({}, {}, [])
    assert not IndexBuild.objects.exists()
    assert sorted(path.name for path in (state / "fabric" / "faiss").iterdir()) == files
    arming = next(c for c in policy_checks(proposed) if c.rule == "Arming")
    assert arming.passed and "no cluster" in arming.words


def test_an_index_that_was_built_anew_since_makes_the_plan_void(proposed):
    StoreIndex.objects.update(parameters={"m": 16, "ef_construction": 64})
    plan = turn(approve(proposed))
    assert plan.state == "void"
    assert "parameters is" in plan.state_reason


def test_the_kill_switch_stops_the_switch(proposed):
    turn(approve(proposed))
    tend_builds(now=timezone.now())
    services.engage_kill_switch(by=person("admin"), reason="drill")
    turn(proposed)
    assert index().generation == 0
    assert "kill switch" in Execution.objects.get().outcome


def test_who_may_not_propose_and_what_does_not_fit_is_refused(made):
    with pytest.raises(NotAllowed):
        propose_rebuild("made", "faiss", NEW, by=person("viewer"))
    ann = person("planner")
    for given, why in (
        ({"m": 0}, "between 4 and 100"),
        ({"lists": 4}, "not a parameter"),
        ({"m": 60, "ef_construction": 100}, "at least twice m"),
        ({}, "already"),
    ):
        with pytest.raises(FabricInvalid, match=why):
            propose_rebuild("made", "faiss", given, by=ann)
    assert not Plan.objects.exists()


def test_the_page_proposes_and_follows_the_build(made, client):
    client.force_login(person("planner"))
    sent = {"collection": "made", "store": "faiss", "parameter": ["m", "ef_construction"]}
    answer = client.post("/fabric/rebuild", {**sent, "m": "48", "ef_construction": "300"})
    plan = Plan.objects.get()
    assert answer.url == f"/plans/{plan.id}/"
    page = client.get(answer.url).content.decode()
    assert "built anew: m 48, ef_construction 300" in page
    turn(approve(plan))
    page = client.get("/fabric/").content.decode()
    assert "Beside it (m 48 ef_construction 300 ): building, 0 of 300 documents" in page
    refused = client.post("/fabric/rebuild", {**sent, "m": "x"}, follow=True)
    assert "Nothing was proposed. m: a whole number" in refused.content.decode()
    client.force_login(person("viewer"))
    assert client.post("/fabric/rebuild", sent).status_code == 403


def test_without_a_metric_source_it_is_settled_by_what_the_console_measures(proposed):
    assert sources.current_sources() == ()
    plan = carry_out(proposed)
    assert Execution.objects.get(plan=plan).settle_at is not None
