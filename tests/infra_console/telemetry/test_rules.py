"""The recording rules say what they promise, in Prometheus' own tests."""

import subprocess
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from infra_console.telemetry.catalogue import (
    CATALOGUE,
    fallback_query,
    main_query,
    mean_query,
)

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
