"""Somebody else's exporter, scraped by a real Prometheus without our rules.

Its GPUs are seen, and everything else is unknown. Nothing is zero.
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.catalogue import CATALOGUE
from infra_console.telemetry.queries import fleet_freshness, forget_cached, read_instant
from infra_console.telemetry.series import Freshness
from infra_console.telemetry.sources import BoundSource
from tests.infra_console.telemetry.conftest import running
from tests.infra_console.telemetry.samples import http_server

SAMPLE = Path(__file__).parent / "payloads" / "plain-exporter.prom"


def test_these_gpus_are_seen_and_nothing_is_zero(prometheus_program: Path, tmp_path: Path) -> None:
    page = (200, {"Content-Type": "text/plain; version=0.0.4"}, SAMPLE.read_bytes())
    with http_server(lambda path, asked: page) as exporter:
        target = {"targets": [exporter.partition("://")[2]], "labels": {"cluster": "one"}}
        jobs = [{"job_name": "gpu-metrics", "scrape_interval": "1s", "scrape_timeout": "1s",
                 "static_configs": [target]}]  # fmt: skip
        config = json.dumps({"scrape_configs": jobs})
        with running(prometheus_program, tmp_path, config=config) as url:
            source = PrometheusSource(url)
            wait_for_scrape(source)
            jobs_of = {"dcgm": ("gpu-metrics",), "vllm": ("vllm",), "kube-state-metrics": ("ksm",)}
            bound = BoundSource("files", frozenset({"one"}), 15.0, source, jobs_of)
            forget_cached()
            readings = {
                name: read_instant(name, sources=[bound])
                for name in CATALOGUE
                if name != "witnesses"
            }
            fleet = fleet_freshness(sources=[bound])
    known = {name for name, reading in readings.items() if reading.series}
    assert known == {"gpus_seen", "gpus_present", "gpu_inventory"}
    assert {s.labels["UUID"] for s in readings["gpus_seen"].series} == {"GPU-aaaa", "GPU-bbbb"}
    assert readings["gpus_present"].value(cluster="one") == 2
    for reading in readings.values():
        assert not [s for s in reading.series if s.last == 0]
        assert reading.error == ""
        if reading.name in known:
            assert reading.state is Freshness.PARTIAL
        else:  # of refusals it is known that nobody exports them
            assert reading.state in {Freshness.DOWN, Freshness.ABSENT}, reading.name
    assert fleet.clusters["one"].state is Freshness.PARTIAL
    assert "0 of 2 GPUs tell their activity" in fleet.clusters["one"].doubts


def wait_for_scrape(source: PrometheusSource) -> None:
    ends_s = time.monotonic() + 20
    while not source.instant("DCGM_FI_DEV_SM_CLOCK", at=datetime.now(UTC)).series:
        assert time.monotonic() < ends_s
        time.sleep(0.1)
