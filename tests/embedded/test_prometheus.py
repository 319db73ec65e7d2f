"""The embedded Prometheus: its configuration, its history, and finding the program."""

import http.client
import http.server
import json
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

import pytest

from infra_console.embedded import prometheus_program as programs
from infra_console.embedded.errors import BinaryMissing, StageFailed
from infra_console.embedded.prometheus import configuration, prepare_prometheus, write_history

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def query(server, text):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": text}))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["data"]["result"]


@pytest.fixture
def idle(tmp_path, prometheus_program):
    """A prepared server that does not run."""
    return prepare_prometheus(tmp_path, rules_dir=RULES, program=prometheus_program)


def test_promtool_accepts_the_configuration_and_our_rules(idle):
    done = subprocess.run(
        [idle.promtool, "check", "config", idle.config_file], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(RULES / "rules.yml") in done.stdout


def test_rule_tests_are_not_loaded_as_rules(tmp_path):
    for name in ("rules.yml", "rules_test.yml"):
        (tmp_path / name).write_text("groups: []\n")
    text = configuration(rules_dir=tmp_path, targets_dir=tmp_path)
    assert "rules.yml" in text
    assert "rules_test.yml" not in text


def test_history_becomes_blocks_once(idle, tmp_path):
    now = int(time.time())
    lines = [f"level:x:sum {n} {now - 86400 * 20 + n * 3600}\n" for n in range(100)]
    samples = tmp_path / "history.om"
    samples.write_text("".join(lines) + "# EOF\n")
    assert not idle.has_blocks()
    write_history(idle, samples)
    assert idle.has_blocks()
    listed = subprocess.run(
        [idle.promtool, "tsdb", "list", idle.data_dir], capture_output=True, text=True, check=True
    )
    counts = [line.split()[4] for line in listed.stdout.splitlines()[1:]]
    assert sum(map(int, counts)) == 100


def test_a_broken_history_leaves_no_block(idle, tmp_path):
    (tmp_path / "history.om").write_text("level:x:sum not-a-number\n# EOF\n")
    with pytest.raises(StageFailed, match="cannot write the history"):
        write_history(idle, tmp_path / "history.om")
    assert not idle.has_blocks()


class Exporter(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"gpus_seen 8\n"
        self.send_response(200 if self.path == "/eastus/dcgm" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_targets_from_files_are_scraped_with_their_labels(prometheus, state_dir):
    exporter = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    labels = {"cluster": "eastus", "job": "dcgm-exporter", "__metrics_path__": "/eastus/dcgm"}
    labels["__scrape_interval__"], labels["__scrape_timeout__"] = "1s", "1s"
    targets = state_dir / "targets" / "test.json"
    targets.parent.mkdir(exist_ok=True)
    target = f"127.0.0.1:{exporter.server_port}"
    targets.write_text(json.dumps([{"targets": [target], "labels": labels}]))
    try:
        deadline = time.monotonic() + 30
        while not (found := query(prometheus, "gpus_seen")):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        targets.unlink()
        exporter.shutdown()
        exporter.server_close()
    assert found[0]["value"][1] == "8"
    assert found[0]["metric"]["cluster"] == "eastus"
    assert found[0]["metric"]["job"] == "dcgm-exporter"


def test_a_program_named_in_the_environment_is_used(monkeypatch, prometheus_program):
    monkeypatch.setenv(programs.VARIABLE, str(prometheus_program))
    assert programs.find_prometheus() == prometheus_program


def test_another_program_of_that_name_is_refused(monkeypatch, tmp_path):
    for name in ("prometheus", "promtool"):
        (tmp_path / name).write_text("#!/bin/sh\necho something else\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "prometheus"))
    with pytest.raises(BinaryMissing, match="is not a Prometheus that runs"):
        programs.find_prometheus()


def test_where_nothing_can_be_had_the_error_says_how(monkeypatch, tmp_path):
    monkeypatch.delenv(programs.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(programs.shutil, "which", lambda _: None)
    with pytest.raises(BinaryMissing, match="apt-get install prometheus"):
        programs.find_prometheus()


def test_the_package_is_unpacked_into_the_cache_without_root(monkeypatch, tmp_path):
    """apt-get and dpkg are stood in for by a package of two scripts: no network here."""
    monkeypatch.delenv(programs.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        programs.shutil, "which", lambda name: None if name == "prometheus" else f"/bin/{name}"
    )
    calls = []

    def pretend(command, work):
        calls.append(command[0:1] + [word for word in command if word in ("update", "download")])
        if "download" in command:
            if len(calls) == 1:  # a fresh machine has no package lists
                return False
            (work / "prometheus_2.42_amd64.deb").touch()
        if command[0] == "dpkg":
            folder = work / "unpacked" / "usr" / "bin"
            folder.mkdir(parents=True)
            for name in ("prometheus", "promtool"):
                (folder / name).write_text(f"#!/bin/sh\necho '{name}, version 2.42.0'\n")
                (folder / name).chmod(0o755)
        return True

    monkeypatch.setattr(programs, "_run", pretend)
    found = programs.find_prometheus()
    assert found == tmp_path / "infra-console" / "prometheus" / "usr" / "bin" / "prometheus"
    assert calls == [
        ["apt-get", "download"], ["apt-get", "update"], ["apt-get", "download"], ["dpkg"],
    ]  # fmt: skip
