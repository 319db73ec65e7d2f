"""Sources that misbehave: the state shown, the number shown, and whether the planner goes on.

A healthy source is spoiled in one way at a time, over HTTP. Nothing may raise, nothing may turn
into a zero, and memory stays where it was.
"""

import gzip
import json
import re
import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.queries import fleet_freshness, forget_cached, read_instant, read_range
from infra_console.telemetry.series import Freshness
from infra_console.telemetry.sources import BoundSource
from tests.infra_console.telemetry.liar import Liar, body, liar
from tiers.freezing import PLANNABLE

PAYLOADS = Path(__file__).parent / "payloads"
LIVE, DELAYED, STALE, PARTIAL, DOWN, _ = Freshness
WAITING, BUSY = "requests_waiting", "gpus_busy"
Payload = dict[str, Any]


def healthy() -> Payload:
    return json.loads((PAYLOADS / "healthy.json").read_text())


def spoiled(change: Callable[[Payload], None], **beside: object) -> Callable[..., None]:
    """Answers of a healthy source after the change, with `beside` in each."""
    payload = healthy()
    change(payload)

    def answer(handler: BaseHTTPRequestHandler, server: Liar) -> None:
        query, now_s = server.asked[-1].parameters["query"], time.time()
        data = next(
            (found for part, found in payload.items() if query.startswith(part)),
            {"resultType": "vector", "result": []},
        )
        result = [
            _of_now(entry, now_s, dated=query.startswith("timestamp")) for entry in data["result"]
        ]
        sent = {"status": "success", "data": {**data, "result": result}, **beside}
        body(json.dumps(sent).encode())(handler, server)

    return answer


def _of_now(entry: Payload, now_s: float, *, dated: bool) -> Payload:
    """Times, and values that are times, are written down in seconds from now."""
    if "values" in entry:
        return {**entry, "values": [[now_s + t, v] for t, v in entry["values"]]}
    at, value = entry["value"]
    return {**entry, "value": [now_s + at, str(now_s + float(value)) if dated else value]}


def bound(url: str, **limits: float) -> BoundSource:
    source = PrometheusSource(url, **({"timeout_s": 10.0, "tries": 1} | limits))
    return BoundSource("main", frozenset({"a"}), 15.0, source)


class Seen:
    """What pages and planner make of a source."""

    def __init__(self, source: BoundSource) -> None:
        forget_cached()
        self.waiting = read_instant(WAITING, sources=[source])
        self.busy = read_instant(BUSY, sources=[source])
        self.fleet = fleet_freshness(sources=[source])

    @property
    def planner_goes_on(self) -> bool:
        return self.fleet.clusters["a"].state in PLANNABLE


def see(answer: Callable[..., None], **limits: float) -> Seen:
    with liar(answer) as server:
        return Seen(bound(server.url, **limits))


def unchanged(_: Payload) -> None:
    """Nothing is wrong."""


def waiting_is(text: str) -> Callable[[Payload], None]:
    def change(payload: Payload) -> None:
        payload["cluster_model:vllm_requests_waiting:sum{"]["result"][0]["value"][1] = text

    return change


def witness(**changed: str) -> Callable[[Payload], None]:
    """dcgm's witnesses with these values; those that are not there yet are added."""

    def change(payload: Payload) -> None:
        rows = payload["cluster_exporter_check:witness:value{"]["result"]
        for check, text in changed.items():
            labels = {"cluster": "a", "exporter": "dcgm", "check": check}
            rows[:] = [row for row in rows if row["metric"] != labels]
            rows.append({"metric": labels, "value": [0, text]})

    return change


def scrapes_moved(seconds: float) -> Callable[[Payload], None]:
    def change(payload: Payload) -> None:
        for series in payload["up{"]["result"]:
            series["values"] = [[t + seconds, v] for t, v in series["values"]]

    return change


def failing_targets(payload: Payload) -> None:
    payload["up{"]["result"][2]["values"][-1][1] = "0"


def stamped(seconds: float) -> Callable[[Payload], None]:
    def change(payload: Payload) -> None:
        for series in payload["timestamp(cluster_"]["result"]:
            series["value"][1] = str(seconds)

    return change


def without(part: str) -> Callable[[Payload], None]:
    def change(payload: Payload) -> None:
        payload[part]["result"] = []

    return change


def test_a_healthy_source_is_live() -> None:
    seen = see(spoiled(unchanged))
    assert (seen.waiting.state, seen.waiting.value(cluster="a")) == (LIVE, 3.0)
    assert (seen.busy.state, seen.busy.value(cluster="a")) == (LIVE, 7.5)
    assert 4 < (seen.busy.age_s or 0) < 20
    assert seen.busy.source_ids == ("main",)
    assert seen.planner_goes_on


def test_without_the_rules_the_numbers_are_there_and_every_page_says_how() -> None:
    def no_rules(payload: Payload) -> None:
        busy = payload.pop("cluster_namespace:dcgm_gr_engine_active:sum{")
        payload["sum by (cluster, namespace) (max by (cluster, UUID"] = busy
        payload["label_replace(label_replace(count"] = payload.pop(
            "cluster_exporter_check:witness:value{"
        )

    seen = see(spoiled(no_rules))
    assert (seen.busy.state, seen.busy.value(cluster="a")) == (LIVE, 7.5)
    assert "recording rules are not installed" in seen.busy.notes[0]
    assert seen.fleet.notes == (f"main: {seen.busy.notes[0]}",)
    assert seen.planner_goes_on


# fault, what is wrong with the source, (state of busy GPUs, its age at least), words, goes on
SPOILED: list[tuple[str, Callable[..., None], Freshness, float, str, bool]] = [
    ("half the nodes are missing", spoiled(witness(nodes="1")), PARTIAL, 0, "1 of 2 ready", False),
    ("half the targets fail", spoiled(failing_targets), PARTIAL, 0, "1 of 2 targets", False),
    ("half the GPUs tell no activity", spoiled(witness(gpus_measured="8")), PARTIAL, 0,
     "8 of 16 GPUs", False),
    ("one GPU in sixteen tells none", spoiled(witness(gpus_measured="15")), LIVE, 0,
     "15 of 16 GPUs", True),
    ("a dead exporter repeats itself", spoiled(witness(nodes_flat="2")), STALE, 600,
     "no GPU's power has moved", False),
    ("half of the exporters repeat themselves", spoiled(witness(nodes_flat="1")), PARTIAL, 0,
     "on 1 of 2 nodes", False),
    ("samples come late", spoiled(witness(lag_s="200")), DELAYED, 200, "200 s late", True),
    ("samples come very late", spoiled(witness(lag_s="299000")), STALE, 299000, "late", False),
    ("samples of the future", spoiled(witness(lead_s="580")), PARTIAL, 0, "ahead of now", False),
    ("recorded samples of the future", spoiled(stamped(500)), PARTIAL, 0, "ahead of now", True),
    ("the last scrapes are old", spoiled(scrapes_moved(-100)), DELAYED, 100, "", True),
    ("the last scrapes are very old", spoiled(scrapes_moved(-400)), STALE, 400, "", False),
    ("scrapes of the future", spoiled(scrapes_moved(500)), DOWN, 0, "", False),
    ("a store is away", spoiled(unchanged, warnings=["store eu is away"]), PARTIAL, 0,
     "store eu is away", False),
    ("a storage node is away", spoiled(unchanged, isPartial=True), PARTIAL, 0, "partial", False),
]  # fmt: skip


@pytest.mark.parametrize("row", SPOILED, ids=[row[0] for row in SPOILED])
def test_a_doubtful_number_says_so(row) -> None:
    _, answer, state, age_s, words, goes_on = row
    seen = see(answer)
    assert seen.busy.state is state
    assert seen.busy.value(cluster="a") == 7.5  # shown with its state; never a zero
    assert (seen.busy.age_s or 0) >= age_s
    assert words in " ".join([*seen.busy.notes, *seen.busy.warnings])
    assert seen.planner_goes_on is goes_on


@pytest.mark.parametrize("text", ["NaN", "+Inf", "-Inf", "1e308", "9223372036854775794"])
def test_what_is_no_number_is_unknown_and_its_neighbours_are_not(text: str) -> None:
    seen = see(spoiled(waiting_is(text)))
    assert seen.waiting.value(cluster="a") is None
    assert seen.busy.value(cluster="a") == 7.5


def test_an_empty_result_is_unknown_and_not_zero() -> None:
    seen = see(spoiled(without("cluster_model:vllm_requests_waiting:sum{")))
    assert (seen.waiting.state, seen.waiting.series) == (DOWN, ())
    assert seen.waiting.value(cluster="a") is None


def test_no_scrapes_at_all_are_down_and_stop_the_planner() -> None:
    seen = see(spoiled(without("up{")))
    assert (seen.busy.state, seen.busy.age_s) == (DOWN, None)
    assert not seen.planner_goes_on


def test_a_gap_stays_a_gap() -> None:
    now = datetime.now(UTC)
    start_s = now.timestamp() // 60 * 60 - 1200

    def answer(handler: BaseHTTPRequestHandler, server: Liar) -> None:
        values = [[start_s + 60 * i, "2"] for i in range(20) if not 5 <= i < 15]
        result = [{"metric": {"cluster": "a", "model_name": "m"}, "values": values}]
        sent = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        body(json.dumps(sent).encode())(handler, server)

    with liar(answer) as server:
        start = datetime.fromtimestamp(start_s, UTC)
        reading = read_range(
            WAITING, start=start, end=start + timedelta(minutes=25), step_s=60,
            sources=[bound(server.url)],
        )  # fmt: skip
    (series,) = reading.series
    known = ~(series.values != series.values)
    assert known.tolist() == [True] * 5 + [False] * 10 + [True] * 5 + [False] * 6
    assert series.last is None
    assert series.age_s == 6 * 60


def silence(_: BaseHTTPRequestHandler, server: Liar) -> None:
    server.over.wait(60)


def drip(handler: BaseHTTPRequestHandler, server: Liar) -> None:
    """A byte now and then: no single read ever times out."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not server.over.wait(0.02):
        handler.wfile.write(b" ")


def drip_headers(handler: BaseHTTPRequestHandler, server: Liar) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not server.over.wait(0.02):
        handler.wfile.write(b"X-Y: z\r\n"[:1])


def endless(handler: BaseHTTPRequestHandler, server: Liar) -> None:
    """One GiB, sent in pieces."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(2**30))
    handler.end_headers()
    piece = b'{"status":"success","data":' + b" " * 2**20
    for _ in range(1024):
        handler.wfile.write(piece)


BOMB = gzip.compress(b" " * 2**28, compresslevel=1)

DEAD: list[tuple[str, Callable[..., None], str]] = [
    ("silence", silence, "no whole answer within 0.3 s"),
    ("a byte now and then", drip, "no whole answer within 0.3 s"),
    ("headers without end", drip_headers, "no whole answer within 0.3 s"),
    ("a page for people", body((PAYLOADS / "login-page.html").read_bytes()), "not that of"),
    ("an error page", body((PAYLOADS / "login-page.html").read_bytes(), status=502), "HTTP 502"),
    ("an answer that is cut off", body((PAYLOADS / "truncated.json").read_bytes()), "not that of"),
    ("a body shorter than said", body(b'{"status', Content_Length="500"), "does not answer|whole"),
    ("no gzip", body(b"plain", Content_Encoding="gzip"), "does not answer"),
    ("a redirect", body(b"", status=302, Location="http://127.0.0.1:1/"), "redirects"),
    ("no rights", body(b"", status=403), "credentials"),
    ("too deep to read", body(b"[" * 200_000), "not that of"),
]


@pytest.mark.parametrize("row", DEAD, ids=[row[0] for row in DEAD])
def test_a_source_that_gives_no_answer_is_down_and_says_why(row) -> None:
    _, answer, words = row
    began = time.monotonic()
    seen = see(answer, timeout_s=0.3 if "0.3 s" in words else 10.0)
    assert time.monotonic() - began < 15
    for reading in (seen.waiting, seen.busy):
        assert (reading.state, reading.age_s, reading.series) == (DOWN, None, ())
        assert re.search(words, reading.error)
    assert not seen.planner_goes_on
    assert re.search(words, seen.fleet.errors["main"])


def test_a_silent_source_leaves_the_others() -> None:
    with liar(silence) as dead, liar(spoiled(unchanged)) as alive:
        sources = [
            BoundSource("east", frozenset({"b"}), 15.0,
                        PrometheusSource(dead.url, timeout_s=0.5)),
            bound(alive.url),
        ]  # fmt: skip
        forget_cached()
        reading = read_instant(BUSY, sources=sources)
    assert (reading.state, reading.value(cluster="a")) == (PARTIAL, 7.5)
    assert reading.error.startswith("east: no whole answer")


@contextmanager
def memory_grows_by(limit_mib: float):
    """The most that this process holds during the block, above what it held before."""
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before = _mib("VmRSS")
    yield
    grown = _mib("VmHWM") - before
    assert grown < limit_mib, f"{grown:.0f} MiB"


def _mib(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024


@pytest.mark.parametrize(
    ("answer", "words"),
    [(endless, "32 MiB"), (body(BOMB, Content_Encoding="gzip"), "32 MiB")],
    ids=["one GiB", "a gzip bomb"],
)
def test_a_monstrous_answer_is_refused_within_bounds(answer, words: str) -> None:
    with memory_grows_by(200):
        seen = see(answer, timeout_s=30)
    assert (seen.busy.state, seen.busy.series) == (DOWN, ())
    assert words in seen.busy.error
    assert not seen.planner_goes_on
