"""Samples that the tests share, and the ways to serve them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np

from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.errors import SourceRefused
from infra_console.telemetry.series import RawSeries

T0 = 1_699_999_800.0  # a multiple of 600
NOT_SUPPORTED = "9223372036854775794"
LOAD = "demo:load:sum"
ODD_NAME = 'we"ird\\na.me|x'


def raw(labels: Mapping[str, str], times: Sequence[float], values: Sequence[float]) -> RawSeries:
    return RawSeries(labels, np.array(times, dtype=float), np.array(values, dtype=float))


_MINUTES = [i for i in range(61) if not 20 <= i < 40]
SERIES = (
    # A minute's rhythm with twenty minutes missing; the value is the minute.
    raw(
        {"__name__": LOAD, "cluster": "a", "model_name": "m"},
        [T0 + 60 * i for i in _MINUTES],
        _MINUTES,
    ),
    raw(
        {"__name__": LOAD, "cluster": "b", "model_name": ODD_NAME},
        [T0, T0 + 60, T0 + 120],
        [1.5, float(NOT_SUPPORTED), float("inf")],
    ),
)


def openmetrics(series: Sequence[RawSeries]) -> str:
    """The text that promtool turns into blocks."""
    lines = [f"# TYPE {LOAD} gauge"]
    for one in series:
        labels = ",".join(
            f"{name}={json.dumps(value)}" for name, value in one.labels.items() if name[0] != "_"
        )
        lines += [
            f"{LOAD}{{{labels}}} {value!r} {time_s:.3f}"
            for time_s, value in zip(one.times.tolist(), one.values.tolist(), strict=True)
        ]
    return "\n".join([*lines, "# EOF", ""]).replace(" inf ", " +Inf ")


Reply = tuple[int, dict[str, str], bytes]


@contextmanager
def http_server(reply: Callable[[str, dict[str, str]], Reply]) -> Iterator[str]:
    """A server on loopback whose every answer is `reply(path, parameters)`; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            status, headers, body = reply(parts.path, asked)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The test's own output is enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def success(result: object, **extra: object) -> Reply:
    data = {"resultType": "matrix", "result": result}
    return 200, {}, json.dumps({"status": "success", "data": data, **extra}).encode()


def prometheus_face(series: Sequence[RawSeries]) -> Callable[[str, dict[str, str]], Reply]:
    """Answers as Prometheus' HTTP API does (strings, pairs, errors), from samples in memory."""
    held = MemorySource({LOAD: series})

    def reply(path: str, asked: dict[str, str]) -> Reply:
        try:
            return success(_result(held, path, asked))
        except SourceRefused as err:
            body = {"status": "error", "errorType": "bad_data", "error": err.problem}
            return 400, {}, json.dumps(body).encode()

    return reply


def _result(held: MemorySource, path: str, asked: dict[str, str]) -> list[dict[str, object]]:
    def moment(name: str) -> datetime:
        return datetime.fromtimestamp(float(asked[name]), UTC)

    query = asked["query"]
    if path.endswith("query_range"):
        step_s = float(asked["step"].removesuffix("s"))
        found = held.range(query, start=moment("start"), end=moment("end"), step_s=step_s)
    elif query.endswith("s]"):
        selector, _, window = query.rpartition("[")
        window_s = float(window.removesuffix("s]"))
        found = held.window(selector, at=moment("time"), window_s=window_s)
    else:
        found = held.instant(query, at=moment("time"))
        return [{"metric": dict(s.labels), "value": _pairs(s)[-1]} for s in found.series]
    return [{"metric": dict(s.labels), "values": _pairs(s)} for s in found.series]


def _pairs(series: RawSeries) -> list[tuple[float, str]]:
    def text(value: float) -> str:
        return "+Inf" if np.isposinf(value) else "NaN" if np.isnan(value) else repr(value)

    return [
        (time_s, text(value))
        for time_s, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
    ]
