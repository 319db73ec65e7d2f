"""Demand of the twin: reconstructible, shaped by local time, sized to the fleet, surges, jobs."""

import numpy as np
import pytest

from tests.tiers.twin.objects import NOW_S
from tiers.twin.demand import (
    BuiltInDemand,
    Surge,
    day_shape,
    job_arrivals,
    operational_pods,
    surge_factor,
)
from tiers.twin.load_test import UNITS_PER_GROUP, measure_units_per_group
from tiers.twin.noise import smooth_noise, stream, uniform_at
from tiers.twin.profile import INFERENCE, INFERENCE_BY_ID, NODE_GROUPS, OPERATIONAL, REGION_IDS

DEMAND = BuiltInDemand(seed=1)
WEEK = np.arange(NOW_S - 7 * 86_400, NOW_S, 300.0)


def test_a_rate_is_the_same_whether_read_alone_or_in_a_row():
    row = DEMAND.rate_rps("japaneast", "chat-70b", WEEK)
    for i in (0, 17, 1999):
        assert DEMAND.rate_rps("japaneast", "chat-70b", WEEK[i : i + 1])[0] == row[i]


def test_the_seed_makes_the_noise():
    one, two = (BuiltInDemand(seed=s).rate_rps("eastus", "chat-7b", WEEK) for s in (1, 2))
    assert not np.allclose(one, two, rtol=0.01)


def test_a_model_asks_for_nothing_where_it_does_not_run():
    assert not DEMAND.rate_rps("brazilsouth", "chat-405b", WEEK).any()


def test_each_region_is_busiest_in_its_own_afternoon():
    midnight = NOW_S - NOW_S % 86_400
    hours = midnight + 3600.0 * np.arange(24)
    assert hours[day_shape("uksouth", hours).argmax()] == midnight + 14 * 3600
    assert hours[day_shape("japaneast", hours).argmax()] == midnight + 5 * 3600


def test_code_is_written_on_weekdays():
    saturday, tuesday = NOW_S + 4 * 86_400, NOW_S
    weekend, weekday = (
        DEMAND.rate_rps("uksouth", "code-34b", np.arange(day, day + 4 * 3600, 600.0)).mean()
        for day in (saturday, tuesday)
    )
    assert weekend < 0.7 * weekday


@pytest.mark.parametrize("region", REGION_IDS)
def test_a_region_needs_more_than_its_first_nodes_at_peak_and_far_less_at_night(region):
    need = np.zeros(len(WEEK))
    for w in INFERENCE:
        if region in w.regions:
            groups = np.ceil(DEMAND.rate_rps(region, w.id, WEEK) / UNITS_PER_GROUP[w.id])
            need += np.maximum(w.floor_groups, groups) * w.gpus_per_group
    assert 0.05 < (need > 40).mean() < 0.4
    assert np.quantile(need, 0.95) <= 64
    assert need.min() <= 24


def test_kept_units_per_group_are_near_a_shorter_load_test():
    measured = measure_units_per_group(INFERENCE_BY_ID["chat-180b"], group_seconds=1200.0)
    assert measured == pytest.approx(UNITS_PER_GROUP["chat-180b"], rel=0.2)


def test_noise_has_unit_spread_at_and_between_knots():
    t = np.linspace(0.0, 4e6, 40_001)
    curve = smooth_noise(stream(1, "x"), t, 1000.0)
    assert curve.std() == pytest.approx(1.0, abs=0.03)
    assert curve.mean() == pytest.approx(0.0, abs=0.05)
    # Neighbours in time stay neighbours: no jumps at knots.
    assert np.abs(np.diff(curve)).max() < 1.0


def test_lattice_values_are_uniform():
    values = uniform_at(stream(5, "y"), np.arange(100_000))
    assert values.min() > 0.0
    assert np.histogram(values, bins=10, range=(0, 1))[0] == pytest.approx([10_000] * 10, rel=0.05)


def test_surges_multiply_where_and_while_they_hold():
    surges = (
        Surge("eastus", None, 2.0, 100.0, 200.0),
        Surge(None, "chat-7b", 1.5, 150.0, 300.0),
    )
    assert surge_factor(surges, "eastus", "chat-7b", 160.0) == 3.0
    assert surge_factor(surges, "eastus", "chat-70b", 160.0) == 2.0
    assert surge_factor(surges, "uksouth", "chat-7b", 250.0) == 1.5
    assert surge_factor(surges, "eastus", "chat-70b", 200.0) == 1.0


def test_jobs_are_the_same_in_one_look_or_many():
    whole = job_arrivals(3, "eastus", NOW_S, NOW_S + 86_400, 0)
    parts = [
        job
        for start in np.arange(NOW_S, NOW_S + 86_400, 7.0)
        for job in job_arrivals(3, "eastus", start, min(start + 7.0, NOW_S + 86_400), 0)
    ]
    assert parts == whole
    assert len(whole) > 10


def test_users_stop_submitting_jobs_when_the_queue_is_long():
    day = (NOW_S, NOW_S + 10 * 86_400)
    empty, half, full = (len(job_arrivals(3, "eastus", *day, queued)) for queued in (0, 5, 10))
    assert empty > half > full == 0


def test_operational_pods_fill_the_night_and_follow_the_day():
    pods = {w.id: operational_pods(1, "uksouth", w.id, WEEK) for w in OPERATIONAL}
    day = day_shape("uksouth", WEEK) > 0.9
    assert pods["embedding"][day].mean() > pods["embedding"][~day].mean()
    assert pods["batch-index"][day].mean() < pods["batch-index"][~day].mean()
    gpus = 8 * sum(tier == "operational" for group in NODE_GROUPS for tier in group.tiers)
    assert sum(pods.values()).max() <= gpus
