"""An exporter's HTTP answer, healthy or not: what a scraper meets at the other end."""

import asyncio
import zlib
from collections.abc import Iterator

from aiohttp import web

from tiers.twin.exporters.faults import Fault
from tiers.twin.exporters.text import CONTENT_TYPE

_MIB = 2**20
_LOOK_S = 0.2
_PAGE = "<!doctype html><title>Sign in</title><p>Please sign in to see this page.</p>\n"


def healthy(body: str) -> web.Response:
    return web.Response(body=body.encode(), headers={"Content-Type": CONTENT_TYPE})


def hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


async def faulty(request: web.Request, fault: Fault, body: str) -> web.StreamResponse:
    """The answer of an exporter with a fault of place `answer`."""
    if fault.kind == "hang":
        return await _hang(request)
    if fault.kind == "slow":
        await asyncio.sleep(fault.amount)
        return healthy(body)
    if fault.kind == "http-500":
        return web.Response(status=500, text="error gathering metrics\n")
    if fault.kind == "html":
        return web.Response(text=_PAGE, content_type="text/html")
    if fault.kind == "truncated":
        return await _break_off(request, body.encode())
    return await _flood(request, fault)


async def _hang(request: web.Request) -> web.StreamResponse:
    """Wait until the other side has gone."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(_LOOK_S)
    return web.Response(status=503)


async def _break_off(request: web.Request, body: bytes) -> web.StreamResponse:
    """Promise the whole length, send half of it, and close."""
    answer = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
    answer.content_length = len(body)
    await answer.prepare(request)
    await answer.write(body[: len(body) // 2])
    return hang_up(request)


async def _flood(request: web.Request, fault: Fault) -> web.StreamResponse:
    """Many megabytes of valid series, one after another so that none is held here."""
    bomb = fault.kind == "gzip-bomb"
    headers = {"Content-Type": CONTENT_TYPE} | ({"Content-Encoding": "gzip"} if bomb else {})
    answer = web.StreamResponse(headers=headers)
    await answer.prepare(request)
    pack = zlib.compressobj(wbits=31)
    for chunk in _chunks(fault.amount, many_series=not bomb):
        if data := pack.compress(chunk) if bomb else chunk:
            await answer.write(data)
        await asyncio.sleep(0)
    if bomb:
        await answer.write(pack.flush())
    return answer


def _chunks(mib: float, *, many_series: bool) -> Iterator[bytes]:
    """Text in pieces of a megabyte: a series each line, or one long comment."""
    yield b"# TYPE flood_bytes gauge\n"
    for number in range(int(mib)):
        if many_series:
            line = f'flood_bytes{{chunk="{number}",part="%07d",fill="{"x" * 80}"}} 1\n'
            size = len(line % 0)
            yield "".join(line % part for part in range(_MIB // size)).encode()
        else:
            yield b"# " + b"x" * (_MIB - 3) + b"\n"
