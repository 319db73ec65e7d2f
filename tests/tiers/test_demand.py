"""Demand from live counters: its page, its API, its command, and what the planner makes of it."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command

from infra_console.fleet.models import Reservation
from infra_console.plans.models import Plan
from infra_console.telemetry.catalogue import CATALOGUE, fallback_query, main_query, spec_of
from infra_console.telemetry.series import RawSeries
from tests.people import person
from tests.tiers.factories import fleet_config
from tiers import cycle as cycles
from tiers.core.demand.gangs import RunningGang
from tiers.core.fleet_state import FleetState
from tiers.core.waiting import Ask
from tiers.demand import demand_now
from tiers.demand_queries import demand_page
from tiers.facts import fleet_facts
from tiers.ledger_keep import Extras
from tiers.models import MeasuredThroughput, PlannedSnapshot
from tiers.throughputs import keep_measured, throughputs

pytestmark = pytest.mark.usefixtures("fleet")
CHAT = {"cluster": "north", "model_name": "chat"}
WAITING, REFUSED = "cluster_model:vllm_requests_waiting:sum", "cluster_model:gateway_refused:rate5m"
SATURATED = main_query(spec_of("saturated"), {})


def now() -> datetime:
    return datetime.now(UTC)


def facts():
    return fleet_facts(fleet_config())


def steady(at: datetime, value: float, **labels: str) -> RawSeries:
    times = at.timestamp() - 300.0 * np.arange(12)[::-1]
    return RawSeries(CHAT | labels, times, np.full(12, value))


def saturated(at: datetime, tokens: float, requests: float, replicas: float) -> list[RawSeries]:
    parts = {"tokens": tokens, "requests": requests, "running": 40.0, "replicas": replicas}
    return [steady(at, value, of=name) for name, value in parts.items()]


@pytest.fixture
def source(metrics):
    """Put chat's arrivals in force, with more series beside them."""

    def put(at: datetime, rps: float, **more: float):
        made = metrics(at, rps)
        names = {"waiting": WAITING, "refused": REFUSED} | {
            name: main_query(spec_of(name), {})
            for name in ("tokens_per_s", "generation_tokens_per_s", "completions_rps")
        }
        series = {names[name]: [steady(at, value)] for name, value in more.items()}
        silent = {main_query(spec_of(n), {}): [] for n in (*names, "saturated") if n in CATALOGUE}
        silent[fallback_query(spec_of("refused_rps"), {})] = []
        made.data = {**made.data, **silent, **series}
        return made

    return put


@pytest.fixture
def look(monkeypatch, north):
    def at(when: datetime, state=north, extras=None):
        seen = FleetState({"north": state})
        monkeypatch.setattr(cycles, "_look", lambda *_, **__: (seen, extras or Extras()))
        return cycles.observe(now=when)

    return at


@pytest.fixture
def cycle(monkeypatch, north):
    def run():
        seen = FleetState({"north": north})
        monkeypatch.setattr(cycles, "_look", lambda *_, **__: (seen, Extras()))
        return cycles.run_cycle(by="planner", now=now(), load_model=lambda: (None, "none here"))

    return run


def test_live_counters_become_demand_and_a_missing_one_stays_unknown(source):
    source(now(), 8.0, waiting=600, tokens_per_s=20_000, generation_tokens_per_s=4_000,
           completions_rps=8)  # fmt: skip
    live = demand_now(facts(), now=now()).live["north", "chat"]
    assert (live.arrivals_rps, live.waiting, live.refused_rps) == (8.0, 600, None)
    assert (live.prompt_tokens_per_s, live.output_tokens_per_s) == (16_000, 4_000)
    assert live.tokens_per_request == 2_500
    assert live.wanted_rps == 9.0
    assert live.why == ("refusals: not exported, no gateway counts this model's requests",)


def test_counters_of_a_dead_exporter_are_no_demand_of_now(source):
    made = source(now(), 8.0)  # rules go on evaluating after the exporter died
    made.data = {**made.data, "up": [
        RawSeries(s.labels, s.times - 500.0, s.values) for s in made.data["up"]]}  # fmt: skip
    live = demand_now(facts(), now=now()).live["north", "chat"]
    assert live.wanted_rps is None
    assert live.why[0].startswith("arrivals_rps is stale")


def test_a_queue_that_piled_up_becomes_growth_that_keeping_pace_would_not_need(source, cycle):
    # Two groups of 5 requests/s run. vLLM counts what it serves: 9.5 arrive, as it were.
    source(now(), 9.5, waiting=0, refused=0)
    assert cycle().verdict == "No change is worth its price."
    # 3,000 wait: 5 more a second until they are gone. 14.5 need three groups.
    source(now(), 9.5, waiting=3_000, refused=0)
    assert cycle().document["plans"][0]["title"].endswith("chat +1")
    snapshot = PlannedSnapshot.objects.first().snapshot
    steps = snapshot["demand"]["chat"]["north"]
    # Two groups would work off 900 in each half hour.
    assert [s["p50"] for s in steps[:5]] == pytest.approx([14.5, 13.0, 11.5, 10.0, 9.5])


def test_what_the_gateway_refuses_is_demand_and_the_plan_says_so(source, cycle):
    source(now(), 9.5, waiting=0, refused=9.0)
    done = cycle()
    assert done.document["plans"][0]["title"].endswith("chat +2")
    plan = done.document["plans"][0]["id"]
    notes = Plan.objects.get(pk=plan).spec.evidence.notes
    assert any("9.50 requests/s arrive, 9.00 are refused and 0 wait" in n for n in notes)


def test_what_saturated_replicas_serve_is_kept_and_planned_with(source, look, cycle):
    at = now()
    made = source(at, 7.0, waiting=50, refused=0, tokens_per_s=14_000, completions_rps=7)
    look(at)  # the ledger then says that chat runs on H100
    # Two replicas on 4 GPUs each: 14,000 / 8 = 1,750 tokens/s a GPU, 5/6 of it 1,458.
    made.data = {**made.data, SATURATED: saturated(at, 14_000, 7.0, 2)}
    keep_measured(facts(), now=at)
    row = MeasuredThroughput.objects.get()
    assert (row.model, row.gpu_type) == ("chat", "H100")
    assert row.tokens_per_s == pytest.approx(1458.3, abs=0.1)
    # At 2,000 tokens a request that is 0.729 requests/s a GPU, 2.92 a group and not 5.
    assert cycle().document["plans"][0]["title"].endswith("chat +1")
    (chat,) = (w for w in PlannedSnapshot.objects.first().snapshot["workloads"]
               if w["id"] == "chat")  # fmt: skip
    assert chat["units_per_group"]["H100"] == pytest.approx(2.917, abs=0.001)
    # Once nothing is saturated any more, what was learned still holds.
    made.data = {k: v for k, v in made.data.items() if k != SATURATED}
    keep_measured(facts(), now=now())
    found = throughputs(facts(), {"chat": 2_000.0}, now=now())["chat", "H100"]
    row.refresh_from_db()
    assert (found.origin, found.at) == ("measured", row.at)


def test_profiles_of_a_file_go_before_the_fleet_file(source, settings, tmp_path):
    table = {
        "model": "Chat", "gpu_type": "NVIDIA H100 80GB HBM3", "gpus": 4, "precision": "fp8",
        "input_tokens": 1000, "output_tokens": 1000, "source": "estimated",
        "points": [{"concurrency": 8, "ttft_ms": 90, "tokens_per_s_per_gpu": 1200}],
    }  # fmt: skip
    settings.PROFILES_FILE = tmp_path / "profiles.json"
    settings.PROFILES_FILE.write_text(json.dumps({"profiles": [table, table | {"gpus": 8}]}))
    found = throughputs(facts(), {}, now=now())["chat", "H100"]
    assert (found.origin, found.requests_per_s) == ("profile", pytest.approx(1.0))
    settings.PROFILES_FILE = tmp_path / "gone.json"
    assert throughputs(facts(), {}, now=now())["chat", "H100"].origin == "fleet file"


def test_the_page_says_what_is_needed_by_what_and_what_is_there(source, look, client):
    at = now()
    source(at, 8.0, waiting=600, refused=1.0)
    waits = Ask("training", "train-9", "training", 16, 8, priority=3)
    told = RunningGang("training", "train-1", "training", 8, 5, at, at + timedelta(hours=2))
    look(at, extras=Extras({"north": ([waits], [])}, gangs={"north": [told]}))
    Reservation.objects.create(
        id="r1", start=at - timedelta(days=9), end=at + timedelta(minutes=50), gpus=8,
        pool="north/H100/reserved", imported_at=at,
    )  # fmt: skip
    page = demand_page(now=at)
    chat, training = page.rows
    # 8 + 1 + 600 / 600 = 10 requests/s, at 1.25 a GPU: 8 GPUs.
    assert chat.need.gpus == pytest.approx(8.0)
    assert (chat.need.at_least, chat.held_gpus, chat.throughput.origin) == (False, 8, "fleet file")
    assert training.need.gpus == 8
    assert [(g.name, g.state, g.priority) for g in page.gangs] == [
        ("train-9", "waiting", 3), ("train-1", "running", 5),
    ]  # fmt: skip
    assert page.gangs[1].basis == "its deadline"
    (supply,) = page.supply
    assert (supply.now.gpus, round(supply.steps[0].expected)) == (24, 24)
    assert round(supply.steps[1].expected) == 16
    client.force_login(person("viewer"))
    text = client.get("/tiers/demand/", headers={"HX-Request": "true", "HX-Target": "demand"})
    assert "reservation r1 ends" in text.content.decode()
    assert "Asking the metric sources" in client.get("/tiers/demand/").content.decode()
    document = client.get("/api/v1/demand").json()
    assert document["schema"] == "demand/1"
    assert document["rows"][0]["live"]["backlog_rps"] == 1.0
    assert document["tiers"][0]["gpus"] == pytest.approx(8.0)
    assert document["unknown"][0]["words"].startswith("the next 4 h")


def test_a_silent_cluster_is_unknown_and_its_supply_too(source, look, client):
    at = now()
    source(at, 8.0)
    look(at)
    observed = cycles.Observation.objects.first()
    observed.document["clusters"]["north"]["reachable"] = False
    observed.save()
    page = demand_page(now=at)
    assert page.supply[0].now is None
    assert page.rows[1].need.gpus is None
    assert [t.need.gpus for t in page.tiers] == [pytest.approx(6.404), None]
    assert ("north, H100", "north does not answer") in page.unknown
    out = StringIO()
    call_command("demand", stdout=out)
    assert "training in north: needs an unknown number of GPUs now" in out.getvalue()
    client.force_login(person("viewer"))
    assert client.get("/api/v1/demand").json()["supply"][0]["now"] is None


def test_before_the_first_look_there_is_nothing_to_say(source, client):
    assert demand_page(now=now()) is None
    client.force_login(person("viewer"))
    assert client.get("/api/v1/demand").json()["rows"] == []
    body = client.get("/tiers/demand/", headers={"HX-Request": "true", "HX-Target": "demand"})
    assert "No data yet" in body.content.decode()
