"""Serves the clusters over HTTPS, one port each, and can cut one of them off."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from tiers.twin.kube.access import Account
from tiers.twin.kube.call import MOST_BODY_BYTES
from tiers.twin.kube.handler import Clock, ClusterApi, utc_now
from tiers.twin.kube.request_log import RequestLog
from tiers.twin.kube.store import ClusterStore

HOST = "127.0.0.1"
SHUTDOWN_S = 0.5


class PortBusy(OSError):
    """Another process listens where a cluster's API should be."""

    def __init__(self, cluster: str, port: int) -> None:
        super().__init__(f"port {port} for the API of cluster {cluster} is in use")
        self.cluster, self.port = cluster, port


def _request(*parts: Any) -> web.BaseRequest:
    message, payload, protocol, writer, task = parts
    return web.BaseRequest(
        message, payload, protocol, writer, task, asyncio.get_running_loop(),
        client_max_size=MOST_BODY_BYTES,
    )  # fmt: skip


class KubeServers:
    """The running API servers. `ports` says where each cluster really is."""

    def __init__(self, apis: dict[str, ClusterApi], tls: ssl.SSLContext) -> None:
        self.apis = apis
        self.ports: dict[str, int] = {}
        self._tls = tls
        self._runners: dict[str, web.ServerRunner] = {}

    async def start(self, cluster: str, port: int) -> None:
        """Listen for one cluster (port 0: any free one). Raises PortBusy."""
        # A watch whose client is gone must end, or it would wait for its own timeout.
        server = web.Server(
            self.apis[cluster].handle, handler_cancellation=True, request_factory=_request
        )
        runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, HOST, port, ssl_context=self._tls)
        try:
            await site.start()
        except OSError as err:
            await runner.cleanup()
            raise PortBusy(cluster, port) from err
        self._runners[cluster] = runner
        self.ports[cluster] = runner.addresses[0][1]

    async def partition(self, cluster: str) -> None:
        """Cut a cluster off: open connections close, new ones are refused."""
        if runner := self._runners.pop(cluster, None):
            for connection in runner.server.connections if runner.server else ():
                if connection.transport is not None:
                    # A polite TLS close would wait half a minute for the client's answer.
                    connection.transport.abort()
            await runner.cleanup()

    async def heal(self, cluster: str) -> None:
        """Bring a cut-off cluster back at the same port."""
        if cluster not in self._runners:
            await self.start(cluster, self.ports[cluster])

    def partitioned(self) -> set[str]:
        return set(self.apis) - set(self._runners)

    def urls(self) -> dict[str, str]:
        return {cluster: f"https://{HOST}:{port}" for cluster, port in self.ports.items()}

    async def close(self) -> None:
        for cluster in tuple(self._runners):
            await self.partition(cluster)


async def serve(
    clusters: Mapping[str, ClusterStore],
    ports: Mapping[str, int],
    tls: ssl.SSLContext,
    accounts: Sequence[Account],
    *,
    log: RequestLog | None = None,
    clock: Clock = utc_now,
) -> KubeServers:
    """Serve every cluster on loopback; a port of 0 (or none given) takes a free one.

    Raises:
        PortBusy: a wanted port is taken; nothing is left running.
    """
    log = log or RequestLog()
    apis = {c: ClusterApi(store, accounts, log, clock) for c, store in clusters.items()}
    servers = KubeServers(apis, tls)
    try:
        for cluster in clusters:
            await servers.start(cluster, ports.get(cluster, 0))
    except PortBusy:
        await servers.close()
        raise
    return servers
