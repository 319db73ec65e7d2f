"""A served twin cluster whose controllers run, reached as the product reaches a real one."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tiers.twin.controllers.cluster import tick, warm_up
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.fleet import build_cluster
from tiers.twin.kube.access import Account
from tiers.twin.kube.kubeconfig import write_kubeconfig
from tiers.twin.kube.request_log import LoggedRequest, RequestLog
from tiers.twin.kube.resources import DEPLOYMENTS, NODES, PODS, Resource
from tiers.twin.kube.server import KubeServers, serve
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.tls import TlsFiles

CLUSTER = "eastus"
TICK_S = 0.1
EXECUTOR = Account("executor", "executor-token", True)
VIEWER = Account("viewer", "viewer-token", False)
READS = frozenset({"get", "list", "watch"})
HOUSEKEEPING = frozenset({"leases", "namespaces"})  # who writes here; no capacity moves by it


@dataclass
class Twin:
    """One running cluster: its store (touch it through `edit`), server, log and kubeconfigs."""

    store: ClusterStore
    servers: KubeServers
    log: RequestLog
    folder: Path
    loop: asyncio.AbstractEventLoop

    def kubeconfig(self, account: str = "executor") -> str:
        return str(self.folder / account)

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function on the server's own thread, where the store may be touched."""

        async def inner() -> Any:
            return function(*args)

        return self.run(inner())

    def node(self, name: str) -> dict[str, Any]:
        return self.call(self.store.get, NODES, "", name)

    def deployment(self, name: str) -> dict[str, Any]:
        return self.call(self.store.get, DEPLOYMENTS, "inference", name)

    def pods_on(self, node: str) -> list[str]:
        return [p["metadata"]["name"] for p in self.call(self.store.pods_on, node)]

    def edit(self, resource: Resource, namespace: str, name: str, change: dict[str, Any]) -> None:
        """Somebody else's write: merge `change` into the object's metadata and spec."""

        def put() -> None:
            held = self.store.get(resource, namespace, name)
            merged = {**held, **{k: {**held[k], **v} for k, v in change.items()}}
            self.store.put(resource, merged)

        self.call(put)

    def edit_node(self, name: str, **change: Any) -> None:
        self.edit(NODES, "", name, change)

    def pods(self) -> list[dict[str, Any]]:
        return self.call(self.store.all, PODS)

    def mutations(self) -> list[str]:
        """Every write to capacity that took effect, as `verb resource/subresource name`."""
        return [
            f"{r.verb} {r.resource}{'/' + r.subresource if r.subresource else ''} {r.name}"
            for r in list(self.log.recent)
            if r.verb not in READS
            and r.code < 300
            and not r.dry_run
            and r.resource not in HOUSEKEEPING
        ]

    def count(self, start: str) -> int:
        return sum(line.startswith(start) for line in self.mutations())

    def repeated(self) -> dict[str, int]:
        """Writes that were made more than once."""
        return {line: n for line, n in Counter(self.mutations()).items() if n > 1}


class RunningTwin:
    """Starts and stops one Twin in a thread of its own."""

    def __init__(
        self,
        folder: Path,
        tls: TlsFiles,
        *,
        size: int = 1,
        keep: int = 200_000,
        time_factor: float = 100.0,
    ) -> None:
        self._size, self._keep = size, keep  # of the cluster, and requests that the log keeps
        self._config = ControllerConfig(time_factor=time_factor)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._folder, self._tls = folder, tls

    def __enter__(self) -> Twin:
        self._thread.start()
        rng, config = np.random.default_rng(7), self._config
        store = build_cluster(CLUSTER, datetime.now(UTC), rng, self._size)
        warm_up(store, datetime.now(UTC), rng, config, step_s=0.5)
        log = RequestLog(keep=self._keep)
        opening = serve(
            {CLUSTER: store}, {}, self._tls.server_context(), (EXECUTOR, VIEWER), log=log
        )
        servers = asyncio.run_coroutine_threadsafe(opening, self._loop).result(10)
        self._twin = Twin(store, servers, log, self._folder, self._loop)
        for account in (EXECUTOR, VIEWER):
            write_kubeconfig(
                self._folder / account.name,
                servers.urls(),
                self._tls.ca.read_bytes(),
                account.name,
                account.token,
            )
        self._ticking = asyncio.run_coroutine_threadsafe(self._tick(store, rng, config), self._loop)
        return self._twin

    async def _tick(
        self, store: ClusterStore, rng: np.random.Generator, config: ControllerConfig
    ) -> None:
        while True:
            tick(store, datetime.now(UTC), rng, config)
            await asyncio.sleep(TICK_S)

    def __exit__(self, *_: object) -> None:
        self._ticking.cancel()
        self._twin.run(self._twin.servers.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def audit_event(request: LoggedRequest) -> dict[str, Any]:
    """The audit event of one request of the twin."""
    if hasattr(request, "event"):
        return request.event()
    query = f"?fieldManager={request.field_manager}" + ("&dryRun=All" if request.dry_run else "")
    return {
        "kind": "Event",
        "stage": "ResponseComplete",
        "requestURI": f"/{query}",
        "verb": request.verb,
        "userAgent": request.user_agent,
        "objectRef": {
            "resource": request.resource,
            "namespace": request.namespace,
            "name": request.name,
            "subresource": request.subresource,
        },
        "responseStatus": {"code": request.code},
        "requestReceivedTimestamp": request.at,
        "annotations": {"twin/cluster": request.cluster},
    }
