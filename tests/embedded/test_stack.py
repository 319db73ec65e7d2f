"""`manage.py up` as a person runs it: every process real, on a fleet file of one cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra_console.embedded.loopback import free_port, http_status

CHECKOUT = Path(__file__).parents[2]
FLEET = """
schema = "fleet/1"
workloads = []
[[regions]]
id = "eastus"
place = "Virginia"
latitude = 37.0
longitude = -79.0
jurisdiction = "US"
[[clusters]]
id = "eastus"
context = "eastus"
region = "eastus"
[[sources]]
id = "main"
url = "http://127.0.0.1:9"
clusters = ["eastus"]
[[pools]]
id = "eastus/H100/reserved"
cluster = "eastus"
gpu_type = "H100"
purchase = "reserved"
usd_per_gpu_hour = 2.0
gpu_memory_gib = 80
selector = { "nvidia.com/gpu.product" = "NVIDIA-H100-80GB-HBM3" }
[tiers]
label_key = "acme.io/tier"
namespaces = { inference = "inference" }
"""


def processes_of(state_dir):
    """Every process whose environment or command line names this state folder."""
    mark, found = os.fsencode(str(state_dir)), []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and mark in (
                (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def plain_shell():
    hidden = ("INFRA_CONSOLE_", "PYTEST_", "DJANGO_SETTINGS_MODULE")
    return {name: text for name, text in os.environ.items() if not name.startswith(hidden)}


def in_a_plain_shell(state_dir, *words):
    env = plain_shell() | {"INFRA_CONSOLE_STATE": str(state_dir)}
    return subprocess.run(
        [sys.executable, "manage.py", *words], cwd=CHECKOUT, env=env, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def up(open_dir):
    """A stack behind a proxy that answers: (process, port, output file)."""
    fleet, output, port = open_dir / "mine.toml", open_dir / "output", free_port()
    fleet.write_text(FLEET)
    env = plain_shell() | {"INFRA_CONSOLE_FLEET_FILE": str(fleet), "PYTHONUNBUFFERED": "1"}
    env |= {"INFRA_CONSOLE_BEHIND_TLS": "1", "INFRA_CONSOLE_ALLOWED_HOSTS": "console.example"}
    command = [sys.executable, "manage.py", "up", "--port", str(port), "--state"]
    with output.open("w") as out:
        process = subprocess.Popen(
            [*command, str(open_dir / "state")], cwd=CHECKOUT, env=env, stdout=out, stderr=out
        )
    deadline = time.monotonic() + 120
    while "workers:" not in output.read_text():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
    yield process, port, output
    if process.poll() is None:
        process.kill()
        process.wait()


def test_up_serves_pages_refuses_a_second_copy_and_stops_clean(up, open_dir):
    process, port, output = up
    state = open_dir / "state"
    doctor = in_a_plain_shell(state, "doctor", "--json")
    found = {check["name"]: check["ok"] for check in json.loads(doctor.stdout)["checks"]}
    assert found["database"], doctor
    assert found["broker"], doctor
    assert (state / "environment.json").stat().st_mode & 0o077 == 0
    assert http_status(port, "/readyz", timeout_s=10) == 200
    assert http_status(port, "/login") == 301  # people are sent to https
    assert f"http://127.0.0.1:{port}/" in output.read_text()
    assert not (state / "demo-users.txt").exists()
    rules = (state / "prometheus" / "rules" / "rules.yml").read_text()
    assert "label_acme_io_tier" in rules  # the fleet file's key, not ours
    assert "label_infra_console_dev_tier" not in rules
    assert sorted(path.stem for path in (state / "log").glob("worker-*.log")) == [
        "worker-control", "worker-execute", "worker-forecast",
    ]  # fmt: skip
    second = subprocess.run(
        [sys.executable, "manage.py", "demo", "--state", str(state)], cwd=CHECKOUT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert second.returncode == 2
    assert f"process {process.pid}" in second.stderr

    process.send_signal(signal.SIGINT)
    assert process.wait(40) == 0, output.read_text()
    assert processes_of(state) == []
    assert not (state / "postgres" / "data" / "postmaster.pid").exists()
