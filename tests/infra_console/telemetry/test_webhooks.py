"""One POST within the limits of metric sources, and times that a metric tells."""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from infra_console.telemetry import moments, webhooks
from infra_console.telemetry.errors import SourceUnreachable
from infra_console.telemetry.moments import newest_moment
from infra_console.telemetry.series import Answer, RawSeries
from infra_console.telemetry.sources import BoundSource
from infra_console.telemetry.webhooks import WebhookFailed, post_json


class Hook:
    """A program that listens on loopback, answers as it is told and keeps what it heard."""

    def __init__(self) -> None:
        self.status, self.heard, self.headers = 204, [], {}
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.heard.append((self.path, json.loads(body)))
                self.send_response(hook.status)
                for name, value in hook.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/save"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> "Hook":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hook(settings):
    settings.SOURCE_NETWORKS = frozenset({"private", "loopback"})
    with Hook() as running:
        yield running


def test_a_body_is_posted_as_json(hook):
    post_json(hook.url, {"job": "big", "grace_s": 5.0})
    assert hook.heard == [("/save", {"job": "big", "grace_s": 5.0})]


@pytest.mark.parametrize("status", [301, 307, 404, 500])
def test_no_other_answer_counts_and_no_redirect_is_followed(hook, status):
    hook.status, hook.headers = status, {"Location": hook.url + "/elsewhere"}
    with pytest.raises(WebhookFailed, match=str(status)):
        post_json(hook.url, {})
    assert [path for path, _ in hook.heard] == ["/save"]


def test_an_address_that_is_not_allowed_is_not_dialled(hook, settings):
    settings.SOURCE_NETWORKS = frozenset({"private"})
    with pytest.raises(WebhookFailed, match="loopback, which is not allowed"):
        post_json(hook.url, {})
    assert hook.heard == []


def test_who_does_not_answer_in_time_is_left(settings, monkeypatch):
    import socket

    settings.SOURCE_NETWORKS = frozenset({"loopback"})
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(WebhookFailed, match="no answer within"):
            post_json(f"http://127.0.0.1:{silent.getsockname()[1]}/", {})
        port = silent.getsockname()[1]
    with pytest.raises(WebhookFailed, match="does not answer"):
        post_json(f"http://127.0.0.1:{port}/", {})


class Source:
    """Answers by the first label that a query asks for."""

    def __init__(self, **values: float) -> None:
        self.values, self.asked = values, []

    def instant(self, promql: str, *, at: datetime) -> Answer:
        self.asked.append(promql)
        if not self.values:
            raise SourceUnreachable("main", "away")
        value = self.values["exported" if "exported_pod" in promql else "own"]
        series = RawSeries({}, np.array([at.timestamp()]), np.array([value]))
        return Answer((series,))


AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
SAVED = AT.timestamp() - 60


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"own": SAVED, "exported": 0.0}, SAVED),
        ({"own": float("nan"), "exported": SAVED}, SAVED),
        ({"own": 0.0, "exported": 0.0}, None),
        ({}, None),
    ],
    ids=["told", "under the exporter's labels", "never saved", "the source is away"],
)
def test_a_metric_tells_the_newest_time_or_nothing(monkeypatch, values, found):
    source = Source(**values)
    bound = (BoundSource("main", frozenset({"a"}), 15.0, source),)
    monkeypatch.setattr(moments, "current_sources", lambda: bound)
    told = newest_moment("saved_s", cluster="a", namespace="training", pods=["x-0", "x-1"], at=AT)
    assert (told and told.timestamp()) == found
    asked = 'max(saved_s{cluster="a",namespace="training",pod=~"x-0|x-1"})'
    assert source.asked[0] == asked
    assert newest_moment("saved_s", cluster="b", namespace="t", pods=["x"], at=AT) is None
