"""The limits of the real source: time, size, redirects, and answers that are none."""

import gzip
import json
import socket
from datetime import UTC, datetime

import pytest

from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.errors import (
    SourceAnswerInvalid,
    SourceAnswerTooLarge,
    SourceRefused,
    SourceUnreachable,
)
from tests.infra_console.telemetry.samples import Reply, http_server, success

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE = {"metric": {"cluster": "a"}, "value": [NOW.timestamp(), "1"]}


def ask(reply: Reply, **limits: float) -> object:
    with http_server(lambda path, asked: reply) as url:
        return PrometheusSource(url, **limits).instant("up", at=NOW)


def test_warnings_of_the_source_are_kept() -> None:
    answer = ask(success([ONE], warnings=["store eu is away"]))
    assert answer.warnings == ("store eu is away",)


def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(SourceRefused, match="redirects"):
        ask((302, {"Location": "http://127.0.0.1:1/elsewhere"}, b""))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_source_may_be_asked_again(status: int) -> None:
    with pytest.raises(SourceUnreachable, match=f"HTTP {status}") as caught:
        ask((status, {}, b"try later"))
    assert caught.value.retryable


def test_missing_rights_are_a_refusal() -> None:
    with pytest.raises(SourceRefused, match="HTTP 403"):
        ask((403, {}, b"<html>no</html>"))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>welcome</html>",
        b"{}",
        b"[]",
        json.dumps({"status": "success", "data": {"result": "text"}}).encode(),
        json.dumps({"status": "success", "data": {"result": [NOW.timestamp(), "1"]}}).encode(),
        json.dumps({"data": {"result": [{"metric": {}, "value": [1, "one"]}]}}).encode(),
        json.dumps({"data": {"result": [{"metric": {}, "value": []}]}}).encode(),
        b"\xff\xfe",
        b'{"data": {"result": [{"metric": [], "value": [1, "1"]}]}}',
        b'{"data": {"result": [{"metric": {}, "value": [1%s, "1"]}]}}' % (b"0" * 400),
        b'{"data": {"result": [{"metric": {}, "value": [1e20, "1"]}]}}',
        b'{"data": {"result": [{"metric": {}, "value": [NaN, "1"]}]}}',
        b'{"data": {"result": [{"metric": {}, "values": [[1e300, "1"]]}]}}',
        b'{"data": {"result": [{"metric": {}, "values": 7}]}}',
    ],
)
def test_an_answer_of_another_shape_is_invalid(body: bytes) -> None:
    with pytest.raises(SourceAnswerInvalid):
        ask((200, {}, body))


@pytest.mark.parametrize("stamp", [b"1e20", b"NaN", b"-1e20", b"1" + b"0" * 400])
def test_a_source_whose_clock_cannot_be_is_no_prometheus(stamp: bytes) -> None:
    body = b'{"data": {"resultType": "scalar", "result": [%s, "1"]}}' % stamp
    with (
        http_server(lambda path, asked: (200, {}, body)) as url,
        pytest.raises(SourceAnswerInvalid),
    ):
        PrometheusSource(url).ready()


def test_rules_of_another_shape_are_invalid() -> None:
    body = b'{"data": {"groups": [{"rules": ["up"]}]}}'
    with (
        http_server(lambda path, asked: (200, {}, body)) as url,
        pytest.raises(SourceAnswerInvalid),
    ):
        PrometheusSource(url).rules()


def test_a_refusal_nested_without_end_is_a_refusal() -> None:
    with pytest.raises(SourceRefused, match="HTTP 400"):
        ask((400, {}, b"[" * 100_000))


def test_too_many_series_are_refused() -> None:
    with pytest.raises(SourceAnswerTooLarge, match="3 series"):
        ask(success([ONE] * 3), max_series=2)


def test_too_large_an_answer_is_not_read_to_its_end() -> None:
    with pytest.raises(SourceAnswerTooLarge, match="1 MiB"):
        ask((200, {}, b" " * (2 * 2**20)), max_bytes=2**20)


def test_the_cap_counts_what_a_compressed_answer_unpacks_to() -> None:
    body = gzip.compress(b" " * (2 * 2**20))
    assert len(body) < 2**20
    with pytest.raises(SourceAnswerTooLarge):
        ask((200, {"Content-Encoding": "gzip"}, body), max_bytes=2**20)


def test_a_body_that_ends_early_is_not_an_answer() -> None:
    with pytest.raises(SourceUnreachable):
        ask((200, {"Content-Length": "1000"}, b'{"status"'), timeout_s=0.3)


def test_silence_ends_at_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = PrometheusSource(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2)
        with pytest.raises(SourceUnreachable, match=r"within 0\.2 s"):
            source.instant("up", at=NOW)


def test_credentials_in_the_address_stay_out_of_messages() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(SourceUnreachable) as caught:
        PrometheusSource(f"http://reader:s3cret@127.0.0.1:{port}").instant("up", at=NOW)
    assert "s3cret" not in str(caught.value)
    assert f"127.0.0.1:{port}" in str(caught.value)
