"""Prometheus servers full of the twin's exporters' series, for `benchmarks.telemetry`."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TextIO

import numpy as np

from infra_console.embedded.loopback import HOST, free_port, http_status
from infra_console.embedded.prometheus_program import find_prometheus
from tiers.twin.files import TwinPaths, init, load_demand
from tiers.twin.kube.resources import NODES
from tiers.twin.metrics import JOBS, render
from tiers.twin.start import start_world
from tiers.twin.world import World

RULES = Path(__file__).resolve().parents[1] / "deploy" / "prometheus" / "rules.yml"
STEP_S = 120.0
ROUNDS = 7  # twelve minutes: a rate of five, five minutes ago
# What promtool may take on a busy machine: samples that end before they are read are worth nothing.
SECONDS_PER_SAMPLE = 60e-6
HISTORY_SERIES = 200
HISTORY_DAYS = 28
# What other rules look back on: live evaluation alone would need five minutes.
SUMS = """\
groups:
  - name: sums
    rules:
      - record: cluster_model:vllm_requests_waiting:sum
        expr: sum by (cluster, model_name) (vllm:num_requests_waiting)
      - record: cluster_model:vllm_requests_running:sum
        expr: sum by (cluster, model_name) (vllm:num_requests_running)
"""


@dataclass(frozen=True)
class Fleet:
    """Blocks of raw series that end about now, and what they are of."""

    home: Path
    fleet_file: Path
    nodes: int
    gpus: int
    series: int

    @contextmanager
    def with_rules(self) -> Iterator[str]:
        """A server that has evaluated our rules at least once."""
        data = self.home / "ruled"
        shutil.copytree(self.home / "raw", data, copy_function=os.link)
        with server(self.home, data) as url:
            _record_sums(self.home, url, data)
        with server(self.home, data, rules=RULES) as url:
            time.sleep(35)  # two rounds of rules every 15 s, one of witnesses every 30 s
            yield url

    @contextmanager
    def without_rules(self) -> Iterator[str]:
        with server(self.home, self.home / "raw") as url:
            yield url


def make_fleet(home: Path, size: int) -> Fleet:
    """Tick a twin of this size through twelve minutes and keep each exporter's every word."""
    paths = TwinPaths(home)
    settings = init(paths, size=size)
    begun_s = time.time()
    world = start_world(paths, settings, load_demand(settings), now_s=begun_s - 3600)
    start_s = world.now_s
    for second in range(2, 62, 2):
        _tick(world, start_s + second)
    took_s = time.time()
    series = _write_round(world, None, 0.0)
    took_s = time.time() - took_s
    # Blocks are to end when they are ready: that is estimated from one round, and waited for.
    end_s = time.time() + ROUNDS * (1.6 * took_s + SECONDS_PER_SAMPLE * series) + 10
    samples = home / "samples.om"
    with samples.open("w") as out:
        for number in range(ROUNDS):
            _tick(world, start_s + 62 + STEP_S * number)
            _write_round(world, out, end_s - STEP_S * (ROUNDS - 1 - number))
        out.write("# EOF\n")
    _blocks(samples, home / "raw")
    if time.time() > end_s + 60:
        raise RuntimeError("this machine is too busy: the samples are too old to be read")
    time.sleep(max(0.0, end_s - time.time()))
    nodes = sum(len(store.all(NODES)) for store in world.stores.values())
    return Fleet(home, paths.fleet, nodes, 8 * nodes, series)


def _tick(world: World, now_s: float) -> None:
    for _ in world.tick(now_s):
        pass


def _write_round(world: World, out: TextIO | None, at_s: float) -> int:
    """One scrape of every exporter as OpenMetrics lines; how many series it has."""
    series = 0
    for cluster, physics in world.physics.items():
        for exporter, job in JOBS.items():
            own = f'cluster="{cluster}",job="{job}",instance="{cluster}-{exporter}:80"'
            lines = [x for x in render(exporter, physics).splitlines() if x and x[0] != "#"]
            series += len(lines)
            if out is not None:
                out.write(f"up{{{own}}} 1 {at_s:.3f}\n")
                out.writelines(f"{_labelled(line, own)} {at_s:.3f}\n" for line in lines)
    return series


def _labelled(line: str, own: str) -> str:
    """Labels of the target first; what collides is not among the twin's."""
    name, brace, rest = line.partition("{")
    if brace:
        return f"{name}{{{own}{'' if rest[0] == '}' else ','}{rest}"
    name, _, value = line.partition(" ")
    return f"{name}{{{own}}} {value}"


def _blocks(samples: Path, data: Path) -> None:
    build = [str(_promtool()), "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
    build += ["--max-block-duration=240h", str(samples), str(data)]
    subprocess.run(build, check=True, timeout=600)
    samples.unlink()


def _record_sums(home: Path, url: str, data: Path) -> None:
    (home / "sums.yml").write_text(SUMS)
    now_s = time.time()
    build = [str(_promtool()), "tsdb", "create-blocks-from", "rules", "--eval-interval=15s"]
    build += [f"--start={now_s - 700:.0f}", f"--end={now_s:.0f}", f"--url={url}"]
    subprocess.run(
        [*build, f"--output-dir={data}", str(home / "sums.yml")],
        check=True, timeout=600, capture_output=True,
    )  # fmt: skip


def _promtool() -> Path:
    return find_prometheus().with_name("promtool")


@contextmanager
def server(home: Path, data: Path, *, rules: Path | None = None, scrape: str = "") -> Iterator[str]:
    """A Prometheus over this data."""
    port = free_port()
    config = home / f"prometheus-{port}.yml"
    config.write_text(
        "global: {evaluation_interval: 15s, scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"rule_files: {[str(rules)] if rules else []}\n{scrape}"
    )
    process = subprocess.Popen(
        [str(find_prometheus()), f"--config.file={config}", f"--storage.tsdb.path={data}",
         "--storage.tsdb.retention.time=100y", f"--web.listen-address={HOST}:{port}",
         "--log.level=error"]
    )  # fmt: skip
    try:
        while process.poll() is None and http_status(port, "/-/ready") != 200:
            time.sleep(0.1)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def make_history(home: Path, *, step_s: int) -> Iterator[str]:
    """Four weeks of arrivals for 200 models of one cluster."""
    end_s = int(time.time()) // step_s * step_s
    times = end_s - step_s * np.arange(HISTORY_DAYS * 86400 // step_s)[::-1]
    day = 1.2 + np.sin(2 * np.pi * times / 86400)
    noise = np.random.default_rng(1)
    samples = home / "samples.om"
    with samples.open("w") as out:
        for number in range(HISTORY_SERIES):
            values = np.round(10 * day * noise.lognormal(0, 0.1, len(times)), 3).tolist()
            head = f'cluster_model:vllm_arrivals:rate5m{{cluster="big",model_name="m{number}"}}'
            out.writelines(f"{head} {v} {t}\n" for v, t in zip(values, times.tolist(), strict=True))
        out.write("# EOF\n")
    _blocks(samples, home / "data")
    with server(home, home / "data") as url:
        yield url


@contextmanager
def scrape_file(home: Path, exporter_file: Path) -> Iterator[str]:
    """A Prometheus that scrapes a file from a plain file server, as one target of dcgm."""
    (home / "web").mkdir()
    text = re.sub(r"\r\n?", "\n", exporter_file.read_text())
    (home / "web" / "metrics").write_text(text.rstrip("\n") + "\n")
    handler = partial(_Quiet, directory=str(home / "web"))
    files = ThreadingHTTPServer((HOST, 0), handler)
    Thread(target=files.serve_forever, daemon=True).start()
    target = f"{HOST}:{files.server_port}"
    scrape = (
        "scrape_configs: [{job_name: dcgm-exporter, static_configs: "
        f'[{{targets: ["{target}"], labels: {{cluster: one}}}}]}}]\n'
    )
    try:
        with server(home, home / "data", rules=RULES, scrape=scrape) as url:
            time.sleep(20)  # a round of rules
            yield url
    finally:
        files.shutdown()
        files.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def guess_type(self, path: str | os.PathLike[str]) -> str:
        return "text/plain"

    def log_message(self, *_: object) -> None:
        """The figures are enough."""
