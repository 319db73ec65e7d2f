"""The two clusters the contract is held against: the twin, and the one that KUBECONFIG names.

Both are used through a `Kube` only. What differs stays here: how they start, who plays the nodes,
how a namespace is emptied, and what of a cluster's controllers is at work.
"""

import asyncio
import contextlib
import os
import secrets
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from kubernetes import client, config

from tests.contract import objects, played
from tests.contract.hands import Hands
from tests.contract.kinds import IN_NAMESPACES, LEASE, NAMESPACE, NODE, POD, SERVICE_ACCOUNT
from tests.contract.kube import Kube, Refused
from tests.contract.probes import Probes
from tiers.twin.controllers.cluster import tick
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.kube.access import Account
from tiers.twin.kube.kubeconfig import write_kubeconfig
from tiers.twin.kube.request_log import RequestLog
from tiers.twin.kube.resources import LEASES, NAMESPACES, RESOURCES
from tiers.twin.kube.server import serve
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.tls import ensure_tls

Obj = dict[str, Any]
EXECUTOR = Account("executor", secrets.token_hex(16), may_write=True)
NOBODY = "infra-console-contract-nobody"


@dataclass
class Cluster:
    """What a test may ask of either cluster."""

    kube: Kube
    run: str
    wait_s: float
    """How long a controller may take; the twin's clock runs faster than a real one's."""
    looks_s: float = 45.0
    """The same for what looks only every so often: an HPA does every 15 seconds."""
    is_twin: bool = field(default=False, init=False)
    hands: Hands = field(init=False)
    """What only the world does; a test that uses them names the need."""

    def silence(self, node: str) -> None:
        """Let the kubelet of one of the suite's nodes say nothing more."""
        raise NotImplementedError

    def troubles(self) -> list[str]:
        """What has gone wrong behind the API since last asked."""
        return []

    def lacks(self, need: str) -> str:
        """Why a test that needs this must be skipped here; empty when it need not."""
        raise NotImplementedError

    def prepare(self, namespace: str) -> None:
        """Make a new namespace ready for pods."""

    def empty(self, namespace: str) -> None:
        """Take everything out of a namespace, and the namespace away."""
        raise NotImplementedError

    def limited(self) -> Kube:
        """Nobody in particular, by impersonation: an account that may not write."""
        return Kube(self.kube.api, headers={"Impersonate-User": NOBODY})

    def forget_history(self) -> bool:
        """Let old resourceVersions fall out of the log; False where nobody can ask for that."""
        return False

    def kubeconfig(self) -> tuple[str, str]:
        """The file and the context by which the console reaches this cluster."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


# The twin


class Twin(Cluster):
    """One served store whose controllers tick on the server's own loop."""

    TICK_S = 0.1
    HISTORY = 4000

    def __init__(self, folder: Path) -> None:
        self.store = ClusterStore("twin", history=self.HISTORY)
        for name in ("default", played.LEASES):
            made = {"metadata": {"name": name}, "status": {"phase": "Active"}}
            self.store.create(NAMESPACES, made, datetime.now(UTC))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._log = RequestLog(folder / "requests.jsonl")
        self._rng, self._config = (
            np.random.default_rng(7),
            ControllerConfig(time_factor=1000.0, heartbeat_s=1.0),
        )
        self.hands = Hands(self.store, self._call)
        self._told: set[str] = set()
        self._untold: list[str] = []
        tls = ensure_tls(folder)
        opening = serve({"twin": self.store}, {}, tls.server_context(), (EXECUTOR,), log=self._log)
        self._servers = self._await(opening)
        urls, authority = self._servers.urls(), tls.ca.read_bytes()
        write_kubeconfig(folder / EXECUTOR.name, urls, authority, EXECUTOR.name, EXECUTOR.token)
        self._folder = folder
        self._opened = kubeconfig_client(str(folder / EXECUTOR.name))
        self._ticking = asyncio.run_coroutine_threadsafe(self._tick(), self._loop)
        super().__init__(kube=Kube(self._opened), run=secrets.token_hex(4), wait_s=5.0)
        self.is_twin, self.looks_s = True, 6.0

    def silence(self, node: str) -> None:
        self.hands.silence(node)

    def _await(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async def inner() -> Any:
            return function(*arguments)

        return self._await(inner())

    async def _tick(self) -> None:
        while True:
            try:
                now = datetime.now(UTC)
                tick(self.store, now, self._rng, self._config, metric=self.hands.metric)
            except Exception:  # noqa: BLE001  told by the test that made it happen
                text = traceback.format_exc()
                if text not in self._told:
                    self._told.add(text)
                    self._untold.append(text)
            await asyncio.sleep(self.TICK_S)

    def troubles(self) -> list[str]:
        told, self._untold = self._untold, []
        return told

    def lacks(self, need: str) -> str:
        return ""

    def empty(self, namespace: str) -> None:
        self._call(self._remove, namespace)

    def _remove(self, namespace: str) -> None:
        for resource in RESOURCES:
            if resource.namespaced:
                for obj in self.store.all(resource, namespace):
                    self.store.remove(resource, namespace, obj["metadata"]["name"])
        if self.store.find(NAMESPACES, "", namespace):
            self.store.remove(NAMESPACES, "", namespace)

    def kubeconfig(self) -> tuple[str, str]:
        return str(self._folder / EXECUTOR.name), "twin"

    def forget_history(self) -> bool:
        self._call(self._churn)
        return True

    def _churn(self) -> None:
        lease = {"metadata": {"name": "churn", "namespace": "default"}, "spec": {}}
        self.store.create(LEASES, lease, datetime.now(UTC))
        for count in range(self.HISTORY + 1):
            held = self.store.get(LEASES, "default", "churn")
            self.store.put(LEASES, {**held, "spec": {"leaseTransitions": count}})
        self.store.remove(LEASES, "default", "churn")

    def close(self) -> None:
        self._ticking.cancel()
        self._opened.close()
        self._await(self._servers.close())
        self._log.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


# A real cluster


def kubeconfig_client(path: str) -> client.ApiClient:
    """A client of the current context, whatever its way of signing in."""
    return config.new_client_from_config(path)


@dataclass
class Real(Cluster):
    """The cluster of the current context, with the parts it lacks played or probed for."""

    opened: list[client.ApiClient] = field(default_factory=list)
    player: played.Player | None = None
    probes: Probes | None = None
    service_accounts: bool = True

    @classmethod
    def open(cls, path: str) -> "Real":
        opened = [kubeconfig_client(path) for _ in range(2)]
        kube, run = Kube(opened[0]), secrets.token_hex(4)
        made = cls(kube=kube, run=run, wait_s=40.0, opened=opened)
        made.service_accounts = kube.serves(SERVICE_ACCOUNT)
        space = f"contract-{run}-probes"
        kube.create(NAMESPACE, "", {"metadata": objects.meta(space, labels=made.labels)})
        made.prepare(space)
        made.probes = Probes(kube, space, run)
        made.player = played.Player(
            Kube(opened[1]), run, schedules=not made.probes.has("scheduler")
        )
        made.player.start()
        return made

    def silence(self, node: str) -> None:
        if self.player:
            self.player.silent.add(node)

    def troubles(self) -> list[str]:
        """A player that fails would make later tests time out for no reason of theirs."""
        told: list[str] = []
        while self.player and self.player.troubles:
            told.append(self.player.troubles.pop())
        return told

    @property
    def labels(self) -> dict[str, str]:
        return {objects.RUN_KEY: self.run}

    def lacks(self, need: str) -> str:
        return self.probes.why_not(need) if self.probes else ""

    def prepare(self, namespace: str) -> None:
        """Pods name the default ServiceAccount, which a bare API server makes nobody make."""
        if self.service_accounts:
            with contextlib.suppress(Refused):
                self.kube.create(SERVICE_ACCOUNT, namespace, {"metadata": {"name": "default"}})

    def empty(self, namespace: str) -> None:
        for kind in IN_NAMESPACES:
            if self.kube.serves(kind):
                for obj in self.kube.items(kind, namespace):
                    self._remove(kind, namespace, obj)
        with contextlib.suppress(Refused):
            self.kube.delete(NAMESPACE, "", namespace)
        if self.probes and not self.probes.has("namespaces"):
            self._finalize(namespace)

    def _remove(self, kind: Any, namespace: str, obj: Obj) -> None:
        name = obj["metadata"]["name"]
        with contextlib.suppress(Refused):
            if obj["metadata"].get("finalizers"):
                self.kube.patch(kind, namespace, name, {"metadata": {"finalizers": None}})
            options = {"propagationPolicy": "Background"}
            self.kube.delete(
                kind, namespace, name, options | ({"gracePeriodSeconds": 0} if kind is POD else {})
            )

    def _finalize(self, namespace: str) -> None:
        """What the namespace controller says when a namespace is empty."""
        with contextlib.suppress(Refused):
            held = self.kube.get(NAMESPACE, "", namespace)
            held["spec"]["finalizers"] = []
            self.kube.replace(NAMESPACE, "", namespace, held, "finalize")

    def kubeconfig(self) -> tuple[str, str]:
        path = os.environ["KUBECONFIG"]
        _, current = config.list_kube_config_contexts(path)
        return path, str(current["name"])

    def close(self) -> None:
        if self.player:
            self.player.stop()
        for node in self.kube.items(NODE, labelSelector=f"{objects.RUN_KEY}={self.run}"):
            name = node["metadata"]["name"]
            with contextlib.suppress(Refused):
                self.kube.delete(NODE, "", name)
        mark = f"{objects.RUN_KEY}={self.run}"
        for lease in self.kube.items(LEASE, played.LEASES, labelSelector=mark):
            with contextlib.suppress(Refused):
                self.kube.delete(LEASE, played.LEASES, lease["metadata"]["name"])
        if self.probes:
            self.probes.clean()
            self.empty(self.probes.space)
        for opened in self.opened:
            opened.close()


def real_cluster() -> Real:
    """The cluster that KUBECONFIG names. Raises RuntimeError when it names none."""
    path = os.environ.get("KUBECONFIG", "")
    if not path:
        raise RuntimeError(
            "the contract was asked for on a real cluster (-m cluster), but KUBECONFIG is not set: "
            "point it at a kubeconfig whose current context is a cluster you can spare"
        )
    return Real.open(path)
