"""What our own processes are given, and how it is known that they are ready."""

import http.server
import json
import threading

import pytest

from infra_console.embedded.environment import common_environment
from infra_console.embedded.loopback import free_port
from infra_console.embedded.processes import LogSays, Processes, first_target_answers
from infra_console.embedded.servers import prepare_servers


@pytest.fixture
def processes(tmp_path, monkeypatch):
    monkeypatch.setenv("INFRA_CONSOLE_KUBECONFIG", "/root/of-all-clusters")
    monkeypatch.setenv("KUBECONFIG", "/root/of-all-clusters")
    env = common_environment(tmp_path, {"BROKER_URL": "redis://here"})
    return Processes(env=env, checkout=tmp_path, log_dir=tmp_path)


def test_only_a_worker_that_is_given_it_holds_a_kubeconfig(processes, tmp_path):
    execute = processes.worker("execute", "execute", threads=1, kubeconfig="/writer")
    others = [
        processes.web(8000), processes.beat(tmp_path), processes.twin(tmp_path / "x.json"),
        processes.worker("forecast", "forecast", threads=1), processes.manage("m", "migrate"),
    ]  # fmt: skip
    assert execute.env["INFRA_CONSOLE_KUBECONFIG"] == "/writer"
    assert "KUBECONFIG" not in execute.env
    for child in others:
        assert not [name for name in child.env if "KUBECONFIG" in name], child.name


def test_children_share_one_generated_secret_key(tmp_path):
    common_environment(tmp_path, {})
    key = (tmp_path / "secret-key").read_text()
    common_environment(tmp_path, {})
    assert (tmp_path / "secret-key").read_text() == key
    assert len(key) > 50
    assert (tmp_path / "secret-key").stat().st_mode & 0o077 == 0


def test_a_log_of_an_earlier_start_does_not_make_a_worker_ready(tmp_path):
    log = tmp_path / "worker.log"
    log.write_text("worker@host ready.\n")
    ready = LogSays(log, " ready.")
    assert not ready()
    with log.open("a") as file:
        file.write("worker@host ready.\n")
    assert ready()


class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/eastus/dcgm" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_the_twin_is_ready_when_its_first_target_answers(tmp_path):
    targets = tmp_path / "twin.json"
    assert not first_target_answers(targets)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def answers(port, path):
        entry = {"targets": [f"127.0.0.1:{port}"], "labels": {"__metrics_path__": path}}
        targets.write_text(json.dumps([entry]))
        return first_target_answers(targets)

    try:
        assert answers(server.server_port, "/eastus/dcgm")
        assert not answers(server.server_port, "/unknown")
        assert not answers(free_port(), "/eastus/dcgm")
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_named_in_the_environment_is_not_started(tmp_path, monkeypatch):
    for name, url in {
        "DATABASE_URL": "postgresql://them@db/x",
        "BROKER_URL": "redis://them",
        "PROMETHEUS_URL": "http://them:9090",
    }.items():
        monkeypatch.setenv(f"INFRA_CONSOLE_{name}", url)
    servers = prepare_servers(tmp_path, rules_dir=tmp_path, scrape=True)
    assert servers.stores() == []
    assert servers.prometheus is None
    assert servers.environment() == {}


def test_without_urls_the_embedded_servers_are_what_children_are_told(open_dir, monkeypatch):
    for name in ("DATABASE_URL", "BROKER_URL", "PROMETHEUS_URL"):
        monkeypatch.delenv(f"INFRA_CONSOLE_{name}", raising=False)
    servers = prepare_servers(open_dir, rules_dir=open_dir, scrape=False)
    assert [child.name for child in servers.stores()] == ["postgres", "valkey"]
    told = servers.environment()
    assert told["DATABASE_URL"].startswith("postgresql://infra_console:")
    assert told["BROKER_URL"].startswith("redis://:")
    assert "PROMETHEUS_URL" not in told
