"""One API server for the module's tests, in its own thread, and official clients for it."""

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import urllib3
from kubernetes import client, config

from tests.tiers.twin.kube import objects
from tiers.twin.kube.access import Account
from tiers.twin.kube.faults import Faults
from tiers.twin.kube.kubeconfig import write_kubeconfig
from tiers.twin.kube.request_log import RequestLog
from tiers.twin.kube.server import KubeServers, serve
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.tls import ensure_tls

ACCOUNTS = (Account("viewer", "viewer-token", False), Account("executor", "executor-token", True))
_namespaces = itertools.count(1)


@dataclass
class Running:
    """A served cluster, its loop, and one kubeconfig per account."""

    store: ClusterStore
    servers: KubeServers
    log: RequestLog
    folder: Path
    loop: asyncio.AbstractEventLoop
    opened: list[client.ApiClient] = field(default_factory=list)

    def api(self, account: str = "executor") -> client.ApiClient:
        made = config.new_client_from_config(str(self.folder / account), context="eastus")
        self.opened.append(made)
        return made

    def raw(self, method: str, path: str, body=None, *, account: str = "executor", **headers: str):
        """One request by hand, for what the official client cannot send or does not show."""
        url = self.servers.urls()["eastus"] + path
        sent = {"Authorization": f"Bearer {account}-token"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent = {"Content-Type": "application/json"} | sent
        with urllib3.PoolManager(ca_certs=str(self.folder / "ca.crt"), retries=False) as pool:
            data = None if body is None else json.dumps(body)
            return pool.request(method, url, body=data, headers=sent)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def call(self, function, *args, **kwargs):
        """Run a plain function on the server's own thread, where the store may be touched."""

        async def inner():
            return function(*args, **kwargs)

        return self.run(inner())


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("kube")
    tls, store = ensure_tls(folder), ClusterStore("eastus", history=400, kept_s=0.0)
    log, loop = RequestLog(folder / "requests.jsonl"), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    opening = serve({"eastus": store}, {}, tls.server_context(), ACCOUNTS, log=log)
    servers = asyncio.run_coroutine_threadsafe(opening, loop).result(10)
    for account in ACCOUNTS:
        target = folder / account.name
        write_kubeconfig(target, servers.urls(), tls.ca.read_bytes(), account.name, account.token)
    server = Running(store, servers, log, folder, loop)
    yield server
    for opened in server.opened:
        opened.close()
    server.run(servers.close())
    log.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def core(running) -> client.CoreV1Api:
    return client.CoreV1Api(running.api())


@pytest.fixture(scope="module")
def apps(running) -> client.AppsV1Api:
    return client.AppsV1Api(running.api())


@pytest.fixture(scope="module")
def custom(running) -> client.CustomObjectsApi:
    return client.CustomObjectsApi(running.api())


@pytest.fixture
def faults(running) -> Iterator[Faults]:
    """The faults of the cluster, none left over."""
    found = running.servers.apis["eastus"].faults
    yield found
    found.clear()


@pytest.fixture
def space(core) -> str:
    """A new namespace for one test."""
    name = f"space-{next(_namespaces)}"
    core.create_namespace(objects.namespace(name))
    return name


@pytest.fixture
def node(core) -> str:
    """A new node for one test."""
    name = f"node-{next(_namespaces)}"
    core.create_node(objects.node(name))
    core.patch_node_status(name, {"status": objects.node(name)["status"]})
    return name
