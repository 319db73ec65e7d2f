"""Prometheus as a child process on loopback, keeping 60 days of metrics.

It scrapes what file service discovery names (STATE/targets/*.json), evaluates the recording rules
of deploy/prometheus, and is read by the console like any other Prometheus.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra_console.embedded.child import Child
from infra_console.embedded.errors import DiskFull, StageFailed
from infra_console.embedded.loopback import HOST, http_status, usable_port
from infra_console.embedded.private import read_json, write_json
from infra_console.embedded.prometheus_program import find_prometheus

SCRAPE_INTERVAL_S = 15
RETENTION_DAYS = 60
LONG_BLOCK = "240h"  # with 2 h blocks a month of history takes twenty times as long to write


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """A configured server: where it lives and how to reach it. It may or may not be running."""

    program: Path
    config_file: Path
    data_dir: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def promtool(self) -> Path:
        return self.program.with_name("promtool")

    def is_ready(self) -> bool:
        return http_status(self.port, "/-/ready") == 200

    def has_blocks(self) -> bool:
        """Whether any finished block of samples is on disk."""
        return any(self.data_dir.glob("*/meta.json"))

    def child(self) -> Child:
        command = (
            str(self.program),
            f"--config.file={self.config_file}",
            f"--storage.tsdb.path={self.data_dir}",
            f"--storage.tsdb.retention.time={RETENTION_DAYS}d",
            f"--web.listen-address={HOST}:{self.port}",
            "--log.level=warn",
        )
        return Child(name="prometheus", command=command, is_ready=self.is_ready)


def prepare_prometheus(
    state_dir: Path, *, rules_dir: Path, program: Path | None = None, port: int | None = None
) -> Prometheus:
    """Write the configuration and return the server ready to start.

    `program` spares the search for the binary; `port` fixes the port. Raises BinaryMissing.
    """
    home = state_dir / "prometheus"
    kept = read_json(home / "server.json")
    port = usable_port(kept.get("port")) if port is None else port
    write_json(home / "server.json", {"port": port})
    (home / "data").mkdir(parents=True, exist_ok=True)
    targets_dir = state_dir / "targets"
    targets_dir.mkdir(exist_ok=True)  # Prometheus watches only a folder that is there at its start
    config_file = home / "prometheus.yml"
    config_file.write_text(configuration(rules_dir=rules_dir, targets_dir=targets_dir))
    return Prometheus(
        program=program or find_prometheus(),
        config_file=config_file,
        data_dir=home / "data",
        port=port,
    )


def configuration(*, rules_dir: Path, targets_dir: Path) -> str:
    """The text of prometheus.yml. JSON strings are YAML strings, whatever the paths contain."""
    rules = [
        str(path) for path in sorted(rules_dir.glob("*.yml")) if not path.stem.endswith("_test")
    ]
    return f"""\
global:
  scrape_interval: {SCRAPE_INTERVAL_S}s
  scrape_timeout: 10s
  evaluation_interval: {SCRAPE_INTERVAL_S}s
rule_files: {json.dumps(rules)}
scrape_configs:
  - job_name: fleet
    honor_labels: false
    file_sd_configs:
      - files: [{json.dumps(str(targets_dir / "*.json"))}]
        refresh_interval: 10s
"""


def write_history(prometheus: Prometheus, samples: Path) -> None:
    """Turn an OpenMetrics file into blocks of a server that is not running.

    The blocks appear together at the end: a write that broke off leaves none.
    Raises StageFailed, DiskFull.
    """
    partial = prometheus.data_dir.with_name("history.new")
    shutil.rmtree(partial, ignore_errors=True)
    command = [str(prometheus.promtool), "tsdb", "create-blocks-from", "openmetrics"]
    command += ["--quiet", f"--max-block-duration={LONG_BLOCK}", str(samples), str(partial)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        shutil.rmtree(partial, ignore_errors=True)
        if "no space left" in done.stderr.lower():
            raise DiskFull("The disk is full: the history cannot be written. Free some space.")
        raise StageFailed(f"promtool cannot write the history: {lines[-1]}")
    for block in partial.iterdir():
        if (block / "meta.json").exists():
            block.rename(prometheus.data_dir / block.name)
    shutil.rmtree(partial, ignore_errors=True)
