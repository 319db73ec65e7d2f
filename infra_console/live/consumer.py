"""One socket per open page. It forwards (kind, id, version); the page re-reads what it shows."""

import asyncio
from contextlib import suppress
from typing import TypedDict

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.sessions.backends.db import SessionStore

from infra_console.access.roles import can
from infra_console.live.services import GROUP

NOT_SIGNED_IN = 4401
MAY_NOT_VIEW = 4403
TOO_CHATTY = 4429
RECHECK_S = 30.0
MAX_CLIENT_MESSAGES = 20  # a page has nothing to say; a few pings do no harm


class LiveEvent(TypedDict):
    """What `live.services.publish` puts on the channel layer."""

    type: str
    kind: str
    id: str
    version: int


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """ws/live: refused with 4401 unless signed in, with 4403 without the right to view."""

    async def connect(self) -> None:
        await self.accept()  # a close code reaches the browser only after the handshake
        if refusal := await self._refusal():
            await self.close(code=refusal)
            return
        self.received = 0
        await self.channel_layer.group_add(GROUP, self.channel_name)
        self.recheck = asyncio.create_task(self._recheck())
        await self.send_json({"kind": "hello", "id": "", "version": 0})

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "recheck"):
            self.recheck.cancel()
            with suppress(asyncio.CancelledError):
                await self.recheck
            await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **_: object
    ) -> None:
        """Nothing a page sends means anything; one that keeps talking is cut off."""
        self.received = getattr(self, "received", 0) + 1
        if self.received > MAX_CLIENT_MESSAGES:
            await self.close(code=TOO_CHATTY)

    async def live_event(self, event: LiveEvent) -> None:
        await self.send_json({key: event[key] for key in ("kind", "id", "version")})

    async def _recheck(self) -> None:
        """Signing out, or losing the right, ends the socket too."""
        while True:
            await asyncio.sleep(RECHECK_S)
            if refusal := await self._refusal():
                await self.close(code=refusal)
                return

    async def _refusal(self) -> int:
        """The close code for who may not listen, 0 for who may. The session and the person are read
        anew: the handshake's copies never change."""
        session = SessionStore(self.scope["session"].session_key)
        user = await get_user({**self.scope, "session": session})
        if not user.is_authenticated:
            return NOT_SIGNED_IN
        return 0 if await database_sync_to_async(can)(user, "view") else MAY_NOT_VIEW
