"""The socket: who gets in, what is forwarded, and that a broken broker breaks no write."""

import asyncio
import json
from importlib import import_module

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.db import transaction

from infra_console.asgi import application
from infra_console.live import consumer
from infra_console.live.services import publish
from tests.people import person

pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = (b"origin", b"http://localhost")


def _cookie(user: User) -> bytes:
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}".encode()


class Socket(ApplicationCommunicator):
    """A browser's end of ws/live."""

    def __init__(self, cookie: bytes = b"", origin: tuple[bytes, bytes] = ORIGIN) -> None:
        scope = {
            "type": "websocket",
            "path": "/ws/live",
            "query_string": b"",
            "headers": [origin, (b"cookie", cookie)],
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self) -> bool:
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(5))["type"] == "websocket.accept"

    async def receive_json(self) -> dict[str, object]:
        return json.loads((await self.receive_output(5))["text"])

    async def leave(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(5)


async def _opened(*roles: str) -> Socket:
    user = await sync_to_async(person)(*roles)
    socket = Socket(await sync_to_async(_cookie)(user))
    assert await socket.connect()
    assert (await socket.receive_json())["kind"] == "hello"
    return socket


async def _close_code(socket: Socket) -> int:
    while (message := await socket.receive_output(5))["type"] != "websocket.close":
        pass
    return message["code"]


async def test_anonymous_people_are_closed_with_4401(broker_url):
    socket = Socket()
    await socket.connect()
    assert await _close_code(socket) == 4401


async def test_somebody_without_the_right_to_view_is_closed_with_4403(broker_url):
    socket = Socket(await sync_to_async(_cookie)(await sync_to_async(person)()))
    await socket.connect()
    assert await _close_code(socket) == 4403


async def test_another_sites_page_gets_no_socket(broker_url):
    user = await sync_to_async(person)("viewer")
    cookie = await sync_to_async(_cookie)(user)
    socket = Socket(cookie, (b"origin", b"http://evil.example"))
    assert not await socket.connect()


async def test_a_committed_change_is_forwarded_as_kind_id_and_version(broker_url):
    socket = await _opened("viewer")
    await sync_to_async(publish)("plan", "7", 3)
    assert await socket.receive_json() == {"kind": "plan", "id": "7", "version": 3}
    await socket.leave()


async def test_a_change_that_was_rolled_back_is_not_announced(broker_url):
    def change_and_fail() -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            publish("plan", "7", 3)
            raise ZeroDivisionError

    socket = await _opened("viewer")
    await sync_to_async(change_and_fail)()
    assert await socket.receive_nothing(0.5)
    await socket.leave()


async def test_being_deactivated_ends_an_open_socket(broker_url, monkeypatch):
    monkeypatch.setattr(consumer, "RECHECK_S", 0.1)
    socket = await _opened("viewer")
    await User.objects.filter(username="viewer").aupdate(is_active=False)
    assert await _close_code(socket) == 4401


async def test_losing_the_role_ends_an_open_socket(broker_url, monkeypatch):
    monkeypatch.setattr(consumer, "RECHECK_S", 0.1)
    socket = await _opened("viewer")
    viewer = await User.objects.aget(username="viewer")
    await viewer.groups.aclear()
    assert await _close_code(socket) == 4403


async def test_a_page_that_keeps_talking_is_cut_off(broker_url):
    socket = await _opened("viewer")
    for _ in range(consumer.MAX_CLIENT_MESSAGES + 1):
        await socket.send_input({"type": "websocket.receive", "text": "not even JSON"})
    assert await _close_code(socket) == 4429


def test_a_broker_that_is_away_does_not_break_the_write(monkeypatch, caplog):
    async def away(_message: object) -> None:
        await asyncio.sleep(0)
        raise ConnectionRefusedError("no broker")

    monkeypatch.setattr("infra_console.live.services._group_send", away)
    with transaction.atomic():
        person("viewer")
        publish("plan", "7", 3)
    assert User.objects.filter(username="viewer").exists()
    assert "no broker" in caplog.text
