"""Every address is allow-listed or refused: pages, API, sockets, found by walking the URLconf."""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from asgiref.testing import ApplicationCommunicator
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from infra_console.live.routing import websocket_urlpatterns
from tests.people import person

OPEN = {"/login", "/healthz", "/readyz"}
SAMPLES = {
    "plan_id": str(UUID(int=0)),
    "window_id": "1",
    "envelope_id": "1",
    "source_id": "somewhere",
    "report_id": "1",
    "delivery_id": "1",
    "event_id": "1",
    "verb": "pause",
    "name": "kept",
    "kind": "rehearsal",
    "tier": "inference",
    "region": "north",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BODY = '{"hash": "0", "reason": ""}'  # readable, so that rights decide


def _routes(patterns: list[URLPattern | URLResolver], prefix: str = "/") -> Iterator[str]:
    for entry in patterns:
        route = prefix + str(entry.pattern).removeprefix("^").removesuffix("$")
        if isinstance(entry, URLResolver):
            yield from _routes(entry.url_patterns, route)
        else:
            yield _filled(route)


def _filled(route: str) -> str:
    """The route with a sample for each of its variables."""
    plain = re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", route)
    route = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: SAMPLES[found[1]], plain)
    assert not set(route) & set("<>()[]?*"), f"no sample for {route}"
    return route


ROUTES = sorted(set(_routes(get_resolver().url_patterns)))


def _ask(client: Client, method: str, route: str) -> HttpResponse:
    return client.generic(method, route, BODY, content_type="application/json")


def test_the_walk_finds_pages_api_and_health():
    assert {"/", "/tiers/", "/regions/", "/plans/", "/api/v1/plans", *OPEN} <= set(ROUTES)


@pytest.mark.django_db
@pytest.mark.parametrize("route", [r for r in ROUTES if r not in OPEN])
def test_anonymous_people_are_refused_by_every_method(client, route):
    for method in METHODS:
        answer = _ask(client, method, route)
        signed_out = answer.status_code == 302 and answer["Location"].startswith("/login")
        assert signed_out or answer.status_code in {401, 403, 405}, f"{method} {route}: {answer}"


@pytest.mark.django_db
@pytest.mark.parametrize("route", [r for r in ROUTES if r not in {*OPEN, "/logout", "/api/v1/"}])
def test_a_person_without_a_role_is_refused_too(client, route):
    client.force_login(person())
    for method in METHODS:
        answer = _ask(client, method, route)
        assert answer.status_code in {401, 403, 405}, f"{method} {route}: {answer}"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("route", [str(entry.pattern) for entry in websocket_urlpatterns])
async def test_every_socket_closes_on_anonymous_people(route, broker_url):
    from infra_console.asgi import application

    headers = [(b"origin", b"http://localhost")]
    scope = {"type": "websocket", "path": f"/{route}", "query_string": b"", "headers": headers}
    socket = ApplicationCommunicator(application, {**scope, "subprotocols": []})
    await socket.send_input({"type": "websocket.connect"})
    messages = [await socket.receive_output(5)]
    if messages[0]["type"] == "websocket.accept":
        messages.append(await socket.receive_output(5))
    assert messages[-1]["type"] == "websocket.close"
    assert messages[-1]["code"] == 4401
