"""Probes between regions: far is slow, dark fails, and they stay cheap."""

import pytest

from tests.tiers.twin.exporters.text import parse, pick
from tiers.twin.exporters.blackbox import (
    distance_km,
    ideal_rtt_s,
    probe_url,
    probed_region,
    render_probe,
    rtt_s,
)
from tiers.twin.files import scrape_targets
from tiers.twin.profile import REGION_IDS


def probe(**more):
    words = {"module": "http_2xx", "seed": 1, "now_s": 1.8e9, "dark": False}
    return parse(render_probe("eastus", "uksouth", **words | more))


def test_distance_follows_the_great_circle():
    assert distance_km("eastus", "uksouth") == pytest.approx(6170, rel=0.01)
    assert distance_km("eastus", "uksouth") == distance_km("uksouth", "eastus")
    # Light alone in fibre, there and back, is the floor below every round trip.
    floor_s = 2 * 6169 / 199_862
    assert floor_s < ideal_rtt_s("eastus", "uksouth") < 2 * floor_s


def test_a_round_trip_wanders_above_its_mean_and_is_seeded():
    trips = [rtt_s("eastus", "japaneast", seed=1, now_s=1e9 + 60 * n) for n in range(200)]
    ideal = ideal_rtt_s("eastus", "japaneast")
    assert min(trips) > ideal
    assert max(trips) < 1.2 * ideal
    assert len(set(trips)) == 200
    assert rtt_s("eastus", "japaneast", seed=1, now_s=1e9) == trips[0]
    assert rtt_s("eastus", "japaneast", seed=2, now_s=1e9) != trips[0]


def test_a_probe_adds_up():
    samples = probe()
    phases = pick(samples, "probe_http_duration_seconds")
    assert pick(samples, "probe_duration_seconds") == [pytest.approx(sum(phases))]
    (connect,) = pick(samples, "probe_http_duration_seconds", phase="connect")
    assert connect >= ideal_rtt_s("eastus", "uksouth")
    assert pick(samples, "probe_success") == [1]
    ping = probe(module="icmp")
    assert pick(ping, "probe_icmp_duration_seconds", phase="rtt") == [pytest.approx(connect)]


@pytest.mark.parametrize("module", ["http_2xx", "icmp"])
def test_a_dark_region_fails_at_the_time_limit(module):
    samples = probe(module=module, dark=True)
    assert pick(samples, "probe_success") == [0]
    assert pick(samples, "probe_duration_seconds") == [9.5]


def test_every_region_probes_every_other_once_a_minute():
    targets = [t for t in scrape_targets(9000) if t["labels"]["job"] == "blackbox"]
    assert len(targets) == len({tuple(t["labels"].values()) for t in targets}) == 132
    for target in targets:
        labels = target["labels"]
        assert labels["__scrape_interval__"] == "60s"
        assert labels["instance"] == labels["__param_target"]
        assert probed_region(labels["instance"]) == labels["target"] != labels["region"]
    assert {t["labels"]["region"] for t in targets} == set(REGION_IDS)
    assert probed_region("https://elsewhere.example") == ""
    assert probed_region(probe_url("eastus")) == "eastus"
