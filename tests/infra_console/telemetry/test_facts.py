"""What exporters' labels and values really look like, evaluated by Prometheus' own engine.

Each fact is a payload; each query is asked twice, as the recording rule and as the fallback from
raw series, and both must agree with what is written here.
"""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from infra_console.telemetry.catalogue import CATALOGUE, fallback_query, main_query, spec_of
from infra_console.telemetry.fragments import DCGM, KSM, WITNESS_QUERIES

PAYLOADS = Path(__file__).parent / "payloads"
RULES = settings.BASE_DIR / "deploy" / "prometheus" / "rules.yml"
Expected = dict[str, float]

C = 'cluster="c"'


FACTS: dict[str, tuple[str, dict[str, Expected]]] = {
    "hostname": ("14m", {
        "gpus_busy": {f'{C},namespace="inference"': 1.0},
        "gpu_activity_by_gpu": {
            f'{C},node="n1",gpu="0",UUID="GPU-1",namespace="inference",pod="a"': 0.5,
            f'{C},node="n2",gpu="0",UUID="GPU-2",namespace="inference",pod="b"': 0.25,
            f'{C},node="n3",gpu="0",UUID="GPU-3",namespace="inference",pod="c"': 0.25,
        },
    }),
    "exported-pod": ("14m", {
        "gpus_busy": {f'{C},namespace="inference"': 0.5, C: 0},
        "gpus_present": {f'{C},namespace="inference"': 1, C: 1},
    }),
    "exported-kube": ("14m", {
        "gpus_requested": {
            f'{C},namespace="training",phase="Running"': 8,
            f'{C},namespace="inference",phase="Pending"': 4,
        },
        "pod_gpu_requests": {
            f'{C},namespace="training",pod="a"': 8, f'{C},namespace="inference",pod="b"': 4,
        },
        "pod_info": {f'{C},namespace="training",pod="a",node="n1",'
                     'created_by_kind="Job",created_by_name="j"': 1},
        "nodes_total": {C: 1},
    }),
    "mig": ("14m", {
        "gpus_busy": {f'{C},namespace="inference"': 0.5, f'{C},namespace="batch"': 0.25},
    }),
    "not-supported": ("14m", {
        # GPU-1 has its utilisation instead; GPU-2 is there and its activity is unknown, not 0.
        "gpus_busy": {f'{C},namespace="inference"': 0.75},
        "gpus_present": {f'{C},namespace="inference"': 1, f'{C},namespace="training"': 1},
    }),
    "lower-uuid": ("14m", {
        "gpus_present": {f'{C},namespace="inference"': 2, f'{C},namespace="training"': 1},
        "gpus_busy": {f'{C},namespace="inference"': 1.0, f'{C},namespace="training"': 0.9},
    }),
    "second-exporter": ("14m", {
        "gpus_busy": {f'{C},namespace="inference"': 0.5},
        "gpus_present": {f'{C},namespace="inference"': 1},
    }),
    "counter-reset": ("10m", {"arrivals_rps": {f'{C},model_name="m"': 2.0}}),
    "deleted-pod": ("12m", {
        "requests_running": {f'{C},model_name="m"': 7},
        "requests_waiting": {f'{C},model_name="m"': 0},
        "gpus_requested": {f'{C},namespace="inference",phase="Running"': 4},
    }),
    "renamed-vllm": ("14m", {
        "kv_cache_usage": {f'{C},model_name="old"': 0.6, f'{C},model_name="new"': 0.2},
    }),
    "not-a-number": ("14m", {
        "gpus_busy": {f'{C},namespace="inference"': 0.5},
        "gpus_present": {f'{C},namespace="inference"': 4},
    }),
    # One had a queue all the time; the others are idle, young, stuck, and at times without a queue.
    "saturated": ("14m", {
        "saturated": {
            f'{C},model_name="m",of="tokens"': 110, f'{C},model_name="m",of="requests"': 0.5,
            f'{C},model_name="m",of="running"': 20, f'{C},model_name="m",of="replicas"': 1,
        },
        "generation_tokens_per_s": {f'{C},model_name="m"': 78},
    }),
    # Five minutes of nothing, and then five more until the window of the rate is full again.
    "gap": ("12m", {"arrivals_rps": {}}),
    "plain-exporter": ("14m", {
        "gpus_present": {C: 1}, "gpus_busy": {}, "nodes_total": {}, "arrivals_rps": {},
        "gpus_seen": {f'{C},node="files:80",gpu="0",UUID="GPU-1"': 1},
        "xid_errors": {},
    }),
}  # fmt: skip
WITNESSES: dict[str, tuple[str, dict[tuple[str, str], float]]] = {
    "flat": ("21m", {("dcgm", "nodes"): 2, ("dcgm", "nodes_flat"): 1}),
    "half-nodes": ("14m", {
        ("dcgm", "nodes"): 1,
        ("kube-state-metrics", "nodes"): 2, ("kube-state-metrics", "nodes_ready"): 2,
    }),
    "not-a-number": ("14m", {("dcgm", "gpus"): 4, ("dcgm", "gpus_measured"): 1}),
    "not-supported": ("14m", {("dcgm", "gpus"): 2, ("dcgm", "gpus_measured"): 1}),
    "plain-exporter": ("14m", {("dcgm", "gpus"): 1, ("dcgm", "nodes"): 1}),
}  # fmt: skip


def evaluated(promtool: Path, folder: Path, fact: str, cases: list[dict[str, object]]) -> str:
    """What promtool says to the cases over this payload; empty when they hold."""
    series = [
        dict(zip(("series", "values"), line.rsplit("} ", 1), strict=True))
        for line in (PAYLOADS / f"{fact}.series").read_text().splitlines()
    ]
    for one in series:
        one["series"] += "}"
        # promtool repeats numbers only.
        one["values"] = re.sub(
            r"(NaN|Inf)x(\d+)", lambda m: " ".join([m[1]] * int(m[2])), one["values"]
        )
    test = {"interval": "15s", "input_series": series, "promql_expr_test": cases}
    file = folder / "test.yml"
    file.write_text(
        yaml.safe_dump(
            {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [test]},
            width=100_000,
        )
    )
    done = subprocess.run(
        [promtool, "test", "rules", file],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def case(query: str, at: str, samples: Expected) -> dict[str, object]:
    found = [{"labels": f"{{{labels}}}", "value": v} for labels, v in samples.items()]
    return {"expr": query, "eval_time": at, "exp_samples": found}


@pytest.mark.parametrize("fact", sorted(FACTS))
def test_the_fact(fact: str, promtool: Path, tmp_path: Path) -> None:
    at, expected = FACTS[fact]
    cases = []
    for name, samples in expected.items():
        spec = spec_of(name)
        for query in filter(None, (main_query(spec, {}), fallback_query(spec, {}))):
            cases.append(case(f"round({query}, 0.0001)", at, samples))
    assert evaluated(promtool, tmp_path, fact, cases) == ""


@pytest.mark.parametrize("fact", sorted(WITNESSES))
def test_the_witnesses_of_the_fact(fact: str, promtool: Path, tmp_path: Path) -> None:
    at, expected = WITNESSES[fact]
    spec = spec_of("witnesses")
    cases = []
    for query in (main_query(spec, {}), f"({fallback_query(spec, {})})"):
        for (exporter, check), value in expected.items():
            # `+ 0` drops the name; the two labels are filtered after the union was made.
            one = f'({query}) + 0 and on (exporter, check) label_replace(label_replace(vector(1), "exporter", "{exporter}", "", ""), "check", "{check}", "", "")'  # noqa: E501
            labels = f'{C},exporter="{exporter}",check="{check}"'
            cases.append(case(one, at, {labels: value}))
    assert evaluated(promtool, tmp_path, fact, cases) == ""


def test_a_nan_in_a_sum_is_unknown_and_not_a_smaller_sum(promtool: Path, tmp_path: Path) -> None:
    query = main_query(spec_of("requests_waiting"), {})
    cases = [case(f"count({query} != {query})", "14m", {"": 1})]
    assert evaluated(promtool, tmp_path, "not-a-number", cases) == ""


def test_the_rules_of_gpus_and_kubernetes_are_the_catalogues_own() -> None:
    """So a console without the rules reads the same numbers."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = {}
    for rule in (r for g in groups if g["name"] != "infra-console-inference" for r in g["rules"]):
        labels = rule.get("labels", {})
        rules[rule["record"], labels.get("check"), labels.get("exporter")] = plain(rule["expr"])
    witness = spec_of("witnesses").promql.partition("{")[0]
    expected = {
        (spec.promql.partition("{")[0], None, None): plain(spec.fallback)
        for spec in CATALOGUE.values()
        if spec.fallback and spec.exporter in {DCGM, KSM}
    } | {
        (witness, check, exporter): plain(query)
        for (exporter, check), query in WITNESS_QUERIES.items()
    }
    assert rules == expected


def plain(query: str) -> str:
    return re.sub(r"\s+", "", query.replace(",{match}", "").replace("{{match}}", ""))
