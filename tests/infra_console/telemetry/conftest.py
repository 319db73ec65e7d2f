"""The programs that tests of real metrics need."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra_console.embedded.loopback import HOST, free_port, http_status
from tests.infra_console.telemetry.samples import SERIES, openmetrics


@pytest.fixture(scope="session")
def promtool(prometheus_program: Path) -> Path:
    return prometheus_program.with_name("promtool")


@pytest.fixture(scope="session")
def prometheus_url(
    prometheus_program: Path, promtool: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real Prometheus that holds tests/infra_console/telemetry/samples.SERIES."""
    home = tmp_path_factory.mktemp("prometheus")
    (home / "samples.om").write_text(openmetrics(SERIES))
    build = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
    subprocess.run([*build, home / "samples.om", home / "data"], check=True, timeout=60)
    with running(prometheus_program, home, config="{}\n") as url:
        yield url


@contextmanager
def running(program: Path, home: Path, *, config: str) -> Iterator[str]:
    """A Prometheus of this configuration over `home`/data; yields its address."""
    (home / "prometheus.yml").write_text(config)
    port = free_port()
    process = subprocess.Popen(
        [
            str(program),
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={home / 'data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={HOST}:{port}",
            "--log.level=error",
        ]
    )
    try:
        while process.poll() is None and http_status(port, "/-/ready") != 200:
            pass
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)
