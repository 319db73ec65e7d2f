"""The recording rules say what they promise, in Prometheus' own tests."""

import subprocess
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import call_command

from infra_console.fleet.models import FleetSetting
from infra_console.telemetry.catalogue import (
    CATALOGUE,
    fallback_query,
    main_query,
    mean_query,
)
from infra_console.telemetry.fragments import TIER_KEY
from infra_console.telemetry.rules import recording_rules
from infra_console.telemetry.sources import current_sources
from tests.infra_console.telemetry.test_sources import FLEET

RULES = settings.BASE_DIR / "deploy" / "prometheus"


def recorded() -> set[str]:
    groups = yaml.safe_load((RULES / "rules.yml").read_text())["groups"]
    return {rule["record"] for group in groups for rule in group["rules"]}


def test_every_recorded_series_the_catalogue_reads_is_recorded() -> None:
    read = {
        spec.promql.partition("{")[0]
        for spec in CATALOGUE.values()
        if spec.stored and spec.promql.partition("{")[0].count(":") == 2
    }
    assert read == recorded()


def test_promtool_agrees(promtool: Path) -> None:
    done = subprocess.run(
        [promtool, "test", "rules", RULES / "rules_test.yml"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_query_of_the_catalogue_is_promql(name: str, promtool: Path, tmp_path: Path) -> None:
    match = {"cluster": ["a", "b"], "model_name": 'x"y'}
    spec = CATALOGUE[name]
    queries = [
        main_query(spec, match),
        mean_query(spec, match, step_s=600),
        fallback_query(spec, match),
    ]
    rules = [{"record": "x", "expr": query} for query in queries if query]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=none", file],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shipped_rules_are_those_of_our_own_key() -> None:
    assert recording_rules(TIER_KEY) == (RULES / "rules.yml").read_text()


def test_rules_of_another_key_keep_their_promises(promtool: Path, tmp_path: Path) -> None:
    call_command("recording_rules", tier_key="node-role.acme.io/gpu-tier",
                 output=tmp_path / "rules.yml")  # fmt: skip
    ours, theirs = "label_infra_console_dev_tier", "label_node_role_acme_io_gpu_tier"
    assert theirs in (tmp_path / "rules.yml").read_text()
    assert ours not in (tmp_path / "rules.yml").read_text()
    tests = (RULES / "rules_test.yml").read_text().replace(ours, theirs)
    (tmp_path / "rules_test.yml").write_text(tests)
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "rules_test.yml"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.django_db
def test_without_rules_the_fleets_own_key_is_read_too() -> None:
    said = StringIO()
    document = {**FLEET, "tiers": {"namespaces": {}, "label_key": "acme.io/tier"}}
    FleetSetting.objects.create(id=1, document=document)
    call_command("recording_rules", stdout=said)
    assert "label_acme_io_tier" in said.getvalue()
    source = current_sources()[0]
    query = fallback_query(CATALOGUE["tier_gpus"], {}, tier_label=source.tier_label)
    assert "label_acme_io_tier" in query
    assert "infra_console" not in query


@pytest.mark.parametrize("key", ['x"} or vector(1) #', "", "a/b/c", "-x"])
def test_what_is_no_label_key_renders_nothing(key: str) -> None:
    with pytest.raises(ValueError, match="not the key"):
        recording_rules(key)
