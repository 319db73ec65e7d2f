"""Telling open pages that something changed: the kind, the id and the version, never the data."""

import asyncio

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

GROUP = "live"
SEND_TIMEOUT_S = 3.0


def publish(kind: str, id: str, version: int) -> None:  # noqa: A002  the word on the wire
    """Tell every open page, once the surrounding transaction has committed.

    `robust`: the change is already written, so a broker that is away is logged and nothing else;
    pages notice a lost socket by themselves and read again.
    """
    # Not a partial: Django names the function when it logs what a robust hook raised.
    transaction.on_commit(lambda: _send(kind, id, version), robust=True)


def _send(kind: str, id_: str, version: int) -> None:
    async_to_sync(_group_send)({"type": "live.event", "kind": kind, "id": id_, "version": version})


async def _group_send(message: dict[str, str | int]) -> None:
    layer = get_channel_layer()
    if layer is not None:
        await asyncio.wait_for(layer.group_send(GROUP, message), SEND_TIMEOUT_S)
