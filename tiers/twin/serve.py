"""The running twin: ticks the world by the wall clock and serves APIs, metrics and control."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from aiohttp import web

from tiers.twin.control import control_app
from tiers.twin.errors import PortBusy
from tiers.twin.files import TwinPaths, TwinSettings
from tiers.twin.kube.access import Account
from tiers.twin.kube.request_log import RequestLog
from tiers.twin.kube.server import HOST, KubeServers, serve
from tiers.twin.kube.server import PortBusy as ApiPortBusy
from tiers.twin.metrics import metrics_app
from tiers.twin.world import World

TICK_S = 2.0
SAVE_EVERY_S = 1.0
log = logging.getLogger(__name__)


@asynccontextmanager
async def running(world: World, paths: TwinPaths) -> AsyncIterator[KubeServers]:
    """Serve and tick a world until the block ends, then keep it.

    Raises:
        PortBusy: one of its ports is taken; nothing is left running.
    """
    settings = world.settings
    for _ in world.tick(time.time()):
        await asyncio.sleep(0)
    async with AsyncExitStack() as stack:
        requests = RequestLog(path=paths.request_log)
        stack.callback(requests.close)
        servers = await _serve_apis(world, paths.tls().server_context(), requests)
        stack.push_async_callback(_close, servers)
        for region in world.by_hand.dark_regions:
            await servers.partition(region)
        control = control_app(world, servers, settings.control_token)
        await _listen(stack, control, settings.control_port)
        await _listen(stack, _metrics(world, settings), settings.metrics_port)
        stack.callback(world.save, paths)
        for loop in (_tick(world), _keep(world, paths)):
            stack.push_async_callback(_stop, asyncio.create_task(loop))
        yield servers


async def _serve_apis(world: World, tls: ssl.SSLContext, requests: RequestLog) -> KubeServers:
    settings = world.settings
    accounts = (
        Account("viewer", settings.viewer_token, may_write=False),
        Account("executor", settings.executor_token, may_write=True),
    )
    try:
        return await serve(world.stores, settings.api_ports, tls, accounts, log=requests)
    except ApiPortBusy as err:
        raise PortBusy(err.port) from err


async def _close(servers: KubeServers) -> None:
    """Close every API at once: one after another they would take seconds."""
    await asyncio.gather(*(servers.partition(cluster) for cluster in servers.apis))


def _metrics(world: World, settings: TwinSettings) -> web.Application:
    return metrics_app(
        world.physics,
        time_factor=settings.time_factor,
        unreachable=world.unreachable,
        misbehaviour=lambda: world.by_hand.exporters,
        dark=lambda region: region in world.by_hand.dark_regions,
    )


async def _listen(stack: AsyncExitStack, app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as err:
        raise PortBusy(port) from err


async def _tick(world: World) -> None:
    """Tick for ever; a tick that fails is logged and the next one tries again."""
    while True:
        started = time.monotonic()
        try:
            for _ in world.tick(time.time()):
                await asyncio.sleep(0)
        except Exception:  # the outermost door of the twin's clock
            log.exception("A tick of the twin failed; the next one goes on from here.")
        await asyncio.sleep(max(0.05, TICK_S - (time.monotonic() - started)))


async def _keep(world: World, paths: TwinPaths) -> None:
    while True:
        await asyncio.sleep(SAVE_EVERY_S)
        try:
            world.save(paths)
        except OSError:
            log.exception("The twin's state could not be written; it is kept in memory.")


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
