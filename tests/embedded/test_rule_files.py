"""The embedded Prometheus records tiers by the fleet's own key, and tells which rules it has."""

import subprocess
from pathlib import Path

import pytest

from infra_console.embedded import child as children
from infra_console.embedded.prometheus import prepare_prometheus
from infra_console.embedded.rule_files import write_rules
from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.fragments import TIER_KEY
from infra_console.telemetry.rules import needed_rules, recording_rules, rules_difference
from tests.embedded.test_stack import FLEET

KEY = "acme.io/tier"
TIERS = "cluster_tier:gpus_allocatable:sum"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, prometheus_program):
    """What a Prometheus that `up` prepared for a fleet with its own key says it has loaded."""
    home = tmp_path_factory.mktemp("up")
    fleet = home / "fleet.toml"
    fleet.write_text(FLEET)
    rules = write_rules(home, fleet_file=fleet)
    server = prepare_prometheus(home, rules_dir=rules, program=prometheus_program)
    process = children.start(server.child(), home / "prometheus.log")
    try:
        assert children.wait_ready(server.child(), process)
        return PrometheusSource(server.url).rules()
    finally:
        children.stop(server.child(), process)


def test_prometheus_loads_the_rules_of_the_fleets_key_and_says_so(loaded):
    assert rules_difference(loaded, tier_key=KEY) == ""


def test_rules_of_another_key_are_told_by_name(loaded):
    words = rules_difference(loaded, tier_key=TIER_KEY)
    count = len(needed_rules(TIER_KEY))
    assert words == (
        f"1 of {count} recording rules are not those of this fleet: {TIERS} "
        f"(its tier key is {TIER_KEY})"
    )


def test_missing_rules_are_told_and_so_is_none_at_all(loaded):
    some = tuple(rule for rule in loaded if rule[0] != "cluster:nodes:count")
    assert "are not loaded: cluster:nodes:count" in rules_difference(some, tier_key=KEY)
    strange = rules_difference((("somebody:elses:rule", "1"),), tier_key=KEY)
    assert strange.startswith("none of the ")


def test_without_a_usable_fleet_file_they_are_the_shipped_ones(tmp_path):
    text = recording_rules(TIER_KEY)
    for fleet in (tmp_path / "none.toml", tmp_path / "broken.toml"):
        (tmp_path / "broken.toml").write_text("schema = 'fleet/9'")
        folder = write_rules(tmp_path, fleet_file=fleet)
        assert [p.name for p in folder.iterdir()] == ["rules.yml"]
        assert (folder / "rules.yml").read_text() == text


def test_promtool_takes_what_is_written(tmp_path, prometheus_program: Path):
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(FLEET)
    folder = write_rules(tmp_path, fleet_file=fleet)
    command = [prometheus_program.with_name("promtool"), "check", "rules", folder / "rules.yml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
