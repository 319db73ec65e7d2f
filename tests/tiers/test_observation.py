"""One look at the fleet: sums, gaps, and what is kept of a cluster that went silent."""

from datetime import UTC, datetime, timedelta

import pytest

from infra_console.overview.scope import Scope
from tests.observations import observed, tier
from tests.tiers.factories import fleet_config
from tiers import queries, timelines
from tiers.core.fleet_state import FleetState
from tiers.facts import fleet_facts
from tiers.models import Observation
from tiers.observation import build_observation, read_metrics
from tiers.overview import tier_cards

pytestmark = pytest.mark.usefixtures("fleet")
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def _now_is_now(monkeypatch):
    """This file may be read long before its tests run, and its samples would be stale."""
    monkeypatch.setitem(globals(), "NOW", datetime.now(UTC).replace(microsecond=0))


def look(state, *, now=None, previous=None):
    now = now or NOW
    document = build_observation(
        fleet_facts(fleet_config()), state, read_metrics(), now=now, previous=previous
    )
    Observation.objects.create(at=now, document=document)
    return document


def test_the_ledger_sums_to_the_fleet_and_tiers_to_their_nodes(metrics, north):
    metrics(NOW, 9.0)
    document = look(FleetState({"north": north}))
    seen = document["clusters"]["north"]
    assert seen["ledger"] == {"serving": 8, "training": 8, "free-usable": 8}
    assert sum(seen["ledger"].values()) == seen["gpus"] == 24
    inference, training, _ = queries.tier_summaries(now=NOW)
    assert (inference.nodes, inference.gpus, inference.busy_gpus) == (1, 8, 7.5)
    assert inference.headroom_gpus == 0
    assert training.utilisation == 0.5
    assert inference.worst_slo_ratio == pytest.approx(1.4)
    assert queries.ledger_summary() == {"serving": 8, "training": 8, "free-usable": 8}


def test_a_cluster_that_went_silent_is_unknown_not_empty(metrics, north):
    metrics(NOW, 9.0)
    before = look(FleetState({"north": north}))
    later = NOW + timedelta(minutes=7)
    look(FleetState({}, {"north": "timed out"}), now=later, previous=before)
    assert queries.ledger_summary() == {"unknown": 24}
    inference = queries.tier_summaries(now=later)[0]
    assert inference.state == "down"
    assert inference.gpus == 8
    assert inference.partial
    assert inference.age_s == 420


def test_a_cluster_never_reached_is_unknown_not_empty():
    never = {"gpus": None, "seen_at": None, "ledger": {}, "tiers": {}, "workloads": {}}
    observed(reachable=False, **never)
    inference = queries.tier_summaries()[0]
    assert (inference.gpus, inference.gpus_ready, inference.nodes) == (None, None, None)
    assert inference.headroom_gpus is None
    assert inference.partial
    (region,) = queries.region_map()
    assert (region.gpus, region.state) == (None, "down")
    assert not [a for a in tier_cards(Scope()).alerts if "below its floor" in a.text]


def test_the_ledger_is_told_in_its_own_order_whatever_was_seen_first():
    observed(ledger={"broken": 1, "free-usable": 15, "serving": 8})
    assert list(queries.ledger_summary()) == ["serving", "free-usable", "broken"]


def test_activity_that_is_unknown_is_left_out_of_the_share_not_taken_for_idle():
    tiers = {"training": tier(16, busy_gpus=8.0), "inference": tier(24), "operational": tier(0)}
    observed(tiers=tiers)
    assert queries.region_map()[0].utilisation == 0.5
    inference, training, _ = queries.tier_summaries()
    assert (inference.utilisation, training.utilisation) == (None, 0.5)


def test_silent_metrics_give_none_never_zero(metrics, north):
    metrics(NOW - timedelta(hours=1), 9.0)
    seen = look(FleetState({"north": north}))["clusters"]["north"]
    assert seen["tiers"]["inference"]["busy_gpus"] is None
    assert seen["workloads"]["chat"]["rps"] is None
    assert queries.tier_summaries(now=NOW)[0].utilisation is None


def test_history_is_none_where_nothing_is_known(metrics):
    metrics(NOW - timedelta(hours=2), 9.0)
    found = timelines.tier_history("training", start=NOW - timedelta(hours=4), end=NOW, step_s=1800)
    assert found["gpus"][0] == 16
    assert found["gpus"][-1] is None


def test_no_observation_yet_means_no_summaries():
    assert queries.tier_summaries() == []
    assert timelines.tier_forecast("inference").times == []
