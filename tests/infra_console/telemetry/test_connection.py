"""How a source is reached: who we are, TLS, limits of time, retries, and which addresses."""

import json
import time
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from pydantic import SecretStr

from infra_console.telemetry.adapters import addresses
from infra_console.telemetry.adapters.addresses import AddressRefused, allowed_addresses, kind_of
from infra_console.telemetry.adapters.gate import Gate
from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.connection import Connection
from infra_console.telemetry.errors import SourceRefused, SourceUnreachable
from tests.infra_console.telemetry.liar import body, client_pair, liar
from tiers.twin.kube.tls import TlsFiles

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EMPTY = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}).encode()
ONE = json.dumps(
    {"status": "success", "data": {"resultType": "scalar", "result": [NOW.timestamp(), "1"]}}
).encode()


def ask(where: Connection | str, **options: object) -> None:
    PrometheusSource(where, **options).instant("up", at=NOW)


def test_ready_asks_for_one_and_tells_the_sources_time() -> None:
    with liar(body(ONE)) as server:
        assert PrometheusSource(server.url).ready() == NOW
    (asked,) = server.asked
    assert (asked.path, asked.parameters) == ("/api/v1/query", {"query": "1"})


def test_headers_parameters_and_basic_authorisation_go_with_every_question() -> None:
    with liar(body(EMPTY)) as server:
        ask(
            Connection(
                url=server.url,
                username="reader",
                password=SecretStr("s3cret"),
                headers={"X-Scope-OrgID": SecretStr("team-a")},
                params={"dedup": "true", "partial_response": "false"},
            )
        )
    (asked,) = server.asked
    assert asked.headers["Authorization"] == "Basic cmVhZGVyOnMzY3JldA=="
    assert asked.headers["X-Scope-OrgID"] == "team-a"
    assert asked.parameters["dedup"] == "true"
    assert asked.parameters["partial_response"] == "false"


def test_a_long_query_goes_by_post_in_the_body_with_a_bearer_token() -> None:
    query = "up" + " or up" * 5000
    with liar(body(EMPTY)) as server:
        connection = Connection(url=server.url, post=True, bearer_token=SecretStr("t0ken"))
        PrometheusSource(connection).instant(query, at=NOW)
    (asked,) = server.asked
    assert (asked.method, asked.in_body) == ("POST", True)
    assert asked.parameters["query"] == query
    assert asked.headers["Authorization"] == "Bearer t0ken"


def test_the_authority_the_server_name_and_the_client_certificate(tls: TlsFiles) -> None:
    ca = tls.ca.read_text()
    with liar(body(EMPTY), pair=(tls.certificate, tls.key)) as server:
        ask(Connection(url=server.url, ca_pem=ca))
        with pytest.raises(SourceRefused, match="not trusted"):
            ask(server.url)
        ask(Connection(url=server.url, skip_verify=True))
        with pytest.raises(SourceRefused, match="not trusted"):
            ask(Connection(url=server.url, ca_pem=ca, server_name="prometheus.example.com"))
        ask(Connection(url=server.url, ca_pem=ca, server_name="localhost"))
    assert len(server.asked) == 3


def test_a_client_certificate_opens_the_door_that_is_shut_without(tls: TlsFiles, tmp_path) -> None:
    certificate, key = client_pair()
    (tmp_path / "ours.crt").write_text(certificate)
    ca = tls.ca.read_text()
    pair = (tls.certificate, tls.key)
    with liar(body(EMPTY), pair=pair, client_ca=tmp_path / "ours.crt") as server:
        with pytest.raises((SourceRefused, SourceUnreachable)):
            ask(Connection(url=server.url, ca_pem=ca), tries=1)
        ask(
            Connection(
                url=server.url, ca_pem=ca, client_cert_pem=certificate,
                client_key_pem=SecretStr(key),
            )
        )  # fmt: skip
    assert len(server.asked) == 1


def test_a_key_that_does_not_fit_is_said_without_the_key() -> None:
    certificate, _ = client_pair()
    made = Connection(
        url="https://127.0.0.1:1", client_cert_pem=certificate,
        client_key_pem=SecretStr("canary"),
    )  # fmt: skip
    with pytest.raises(SourceRefused, match="do not fit") as caught:
        ask(made)
    assert "canary" not in str(caught.value)


def test_a_source_that_answers_at_the_second_try_is_no_failure() -> None:
    tries = []

    def answer(handler, server) -> None:
        tries.append(time.monotonic())
        (body(b"later", status=503) if len(tries) < 3 else body(EMPTY))(handler, server)

    with liar(answer) as server:
        ask(server.url, backoff_s=0.02)
    assert len(tries) == 3
    # Each pause is at least half of its nominal length, which doubles.
    assert tries[1] - tries[0] > 0.01
    assert tries[2] - tries[1] > 0.02


def test_a_refusal_is_not_asked_again_and_retries_end_with_the_time() -> None:
    with liar(body(b"no", status=422)) as server:
        with pytest.raises(SourceRefused):
            ask(server.url)
        assert len(server.asked) == 1
    with liar(body(b"later", status=503)) as server:
        began = time.monotonic()
        with pytest.raises(SourceUnreachable):
            ask(server.url, timeout_s=0.2, tries=50, backoff_s=0.05)
        assert time.monotonic() - began < 1
        assert 1 < len(server.asked) < 6


def test_what_a_server_says_is_shown_without_our_secrets() -> None:
    said = json.dumps({"status": "error", "error": "no tenant for Bearer t0ken-of-ours"}).encode()
    with liar(body(said, status=400)) as server, pytest.raises(SourceRefused) as caught:
        ask(Connection(url=server.url, bearer_token=SecretStr("t0ken-of-ours")))
    assert "no tenant" in str(caught.value)
    assert "t0ken-of-ours" not in str(caught.value)


def test_a_silent_source_is_left_alone_for_a_while() -> None:
    now_s = [0.0]
    gate = Gate(rest_s=10, clock=lambda: now_s[0])
    with liar(body(b"", status=503)) as server:
        source = PrometheusSource(server.url, gate=gate, tries=1)
        for _ in range(2):
            with pytest.raises(SourceUnreachable):
                source.instant("up", at=NOW)
        assert len(server.asked) == 1
        now_s[0] = 11.0
        with pytest.raises(SourceUnreachable):
            source.instant("up", at=NOW)
        assert len(server.asked) == 2


def test_at_most_so_many_questions_at_once() -> None:
    gate = Gate(at_once=1)
    with gate.place("s", wait_s=0.1):
        began = time.monotonic()
        with pytest.raises(SourceUnreachable, match="under way"), gate.place("s", wait_s=0.05):
            pass
        assert time.monotonic() - began >= 0.05
    with gate.place("s", wait_s=0.1):
        pass


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("8.8.8.8", "public"), ("2606:4700::1111", "public"),
        ("10.1.2.3", "private"), ("172.16.0.1", "private"), ("192.168.1.1", "private"),
        ("100.64.0.1", "private"), ("fd12::1", "private"),
        ("127.0.0.1", "loopback"), ("::1", "loopback"), ("0.0.0.0", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("169.254.169.254", "link-local"), ("::ffff:169.254.169.254", "link-local"),
        ("fe80::1", "link-local"), ("fd00:ec2::254", "link-local"),
        ("100.100.100.200", "link-local"), ("168.63.129.16", "link-local"),
        ("64:ff9b::a9fe:a9fe", "link-local"), ("2002:a9fe:a9fe::1", "link-local"),
        ("224.0.0.1", "reserved"), ("255.255.255.255", "reserved"),
    ],
)  # fmt: skip
def test_kinds_of_addresses(address: str, kind: str) -> None:
    assert kind_of(ip_address(address)) == kind


@pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "2130706433", "0x7f.1", "::1"])
def test_addresses_that_are_not_allowed_are_not_dialled(host: str) -> None:
    where = f"http://[{host}]:9090" if ":" in host else f"http://{host}:9090"
    with pytest.raises(SourceRefused, match="not allowed"):
        ask(Connection(url=where, networks=frozenset({"private"})))


def test_the_address_that_was_checked_is_the_one_that_is_dialled(monkeypatch) -> None:
    """A name that is harmless when it is asked for, and another thing the next time."""
    answers = ["127.0.0.1", "169.254.169.254"]
    looked_up = []

    def getaddrinfo(host, port, **_):
        looked_up.append(host)
        return [(2, 1, 6, "", (answers[len(looked_up) - 1], port))]

    with liar(body(EMPTY)) as server:
        monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
        where = f"http://rebinding.example:{server.port}"
        monkeypatch.setattr(
            "socket.create_connection", _no_names(__import__("socket").create_connection)
        )
        ask(where)
        with pytest.raises(SourceRefused, match=r"169\.254\.169\.254"):
            ask(where)
    assert len(server.asked) == 1
    assert server.asked[0].headers["Host"].startswith("rebinding.example")


def _no_names(dial):
    def checked(address, *rest, **options):
        ip_address(address[0])  # a name here would be resolved a second time
        return _dial_plainly(dial, address, *rest, **options)

    return checked


def _dial_plainly(dial, address, *rest, timeout=None, **_):
    import socket

    made = socket.socket()
    made.settimeout(timeout)
    made.connect(address)
    return made


def test_one_bad_address_among_good_ones_refuses_the_name(monkeypatch) -> None:
    found = [(2, 1, 6, "", (a, 80)) for a in ("10.0.0.1", "169.254.169.254")]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(AddressRefused, match="link-local"):
        allowed_addresses("x.example", 80, frozenset({"private"}))


def test_nothing_of_a_connection_shows_its_secrets() -> None:
    made = Connection(
        url="https://u:canary-1@prometheus.example", password=SecretStr("canary-2"),
        bearer_token=SecretStr("canary-3"), headers={"X": SecretStr("canary-4")},
        client_key_pem=SecretStr("canary-5"),
    )  # fmt: skip
    shown = f"{made!r} {made} {made.headers} {made.password} {vars_of(made)}"
    assert "canary" not in shown


def vars_of(made: Connection) -> str:
    return repr([(n, getattr(made, n)) for n in made.__slots__ if n != "url"])
