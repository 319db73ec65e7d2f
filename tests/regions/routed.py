"""Three served clusters of the twin with their routes, gateways, requests and metrics."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from regions.core.spill import Load
from tests.infra_console.kube import EXECUTOR
from tests.tiers.twin.objects import add_pod, small_cluster
from tiers.twin.controllers import gateway
from tiers.twin.files import TwinPaths, init
from tiers.twin.keep import ByHand
from tiers.twin.kube.kubeconfig import write_kubeconfig
from tiers.twin.kube.request_log import RequestLog
from tiers.twin.kube.resources import HTTP_ROUTES, Obj
from tiers.twin.kube.server import serve
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.tls import TlsFiles
from tiers.twin.profile import REGIONS
from tiers.twin.routes import backend, first_routes
from tiers.twin.world import World

MODEL = "chat-7b"
PLACES = ("eastus", "westus2", "uksouth")
TICK_S = 0.1
ROOM: dict[str, float | None] = {}


def loads() -> list[Load]:
    """What settings.REGION_LOADS names in these tests: the room of each region, as it is set."""
    return [Load(region, MODEL, None, room) for region, room in ROOM.items()]


class Users:
    """Requests per second of the one model, by the region where they enter."""

    description, notes = "steady", ()

    def __init__(self, rates: Mapping[str, float]) -> None:
        self.rates = dict(rates)

    def rate_rps(self, region: str, model: str, t_s: Any) -> Any:
        return np.full(len(t_s), self.rates.get(region, 0.0) if model == MODEL else 0.0)


class Fleet:
    """The running clusters: change them through `call`, lose a region, read what gateways sent."""

    def __init__(self, folder: Path, tls: TlsFiles, users: Users) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tls, self.folder = tls, folder
        stores = {place: _cluster(place) for place in PLACES}
        self.world = World(
            stores, users, init(TwinPaths(folder)),
            step=gateway.tick, by_hand=ByHand(), now_s=datetime.now(UTC).timestamp(),
        )  # fmt: skip
        self.log = RequestLog(keep=10_000)

    def __enter__(self) -> "Fleet":
        # The first tick of a fresh checkout compiles the simulation: before anybody waits for an
        # answer, who would take the region for lost.
        list(self.world.tick(datetime.now(UTC).timestamp()))
        self._thread.start()
        opening = serve(
            self.world.stores, {}, self._tls.server_context(), (EXECUTOR,), log=self.log
        )
        self.servers = self._run(opening)
        urls, authority = self.servers.urls(), self._tls.ca.read_bytes()
        write_kubeconfig(self.folder / "executor", urls, authority, EXECUTOR.name, EXECUTOR.token)
        self._ticking = asyncio.run_coroutine_threadsafe(self._tick(), self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        self._ticking.cancel()
        self._run(self.servers.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def lose(self, region: str) -> None:
        """The region goes dark: no API, nothing served."""

        async def dark() -> None:
            self.world.fail_region(region)
            await self.servers.partition(region)

        self._run(dark())

    def weights(self, origin: str) -> dict[str, int]:
        """A route's weights by region."""
        (rule,) = self.route(origin)["spec"]["rules"]
        return {r["name"].removeprefix(f"{MODEL}-"): r["weight"] for r in rule["backendRefs"]}

    def route(self, origin: str) -> Obj:
        found: Obj = self.call(self.world.stores[origin].get, HTTP_ROUTES, "inference", MODEL)
        return found

    def annotate(self, origin: str, **notes: str) -> None:
        """Somebody else changes our words on a route."""
        held = self.route(origin)
        ours = {f"infra-console.dev/{key}": value for key, value in notes.items()}
        metadata = held["metadata"] | {"annotations": held["metadata"]["annotations"] | ours}
        self.call(self.world.stores[origin].put, HTTP_ROUTES, {**held, "metadata": metadata})

    def weigh(self, origin: str, weights: Mapping[str, int]) -> None:
        """Somebody else weighs a route."""
        held = self.route(origin)
        (rule,) = held["spec"]["rules"]
        refs = [r | {"weight": weights[r["name"].removeprefix(f"{MODEL}-")]}
                for r in rule["backendRefs"]]  # fmt: skip
        spec = held["spec"] | {"rules": [rule | {"backendRefs": refs}]}
        self.call(self.world.stores[origin].put, HTTP_ROUTES, {**held, "spec": spec})

    def sent(self, origin: str) -> dict[tuple[str, str], int]:
        """Requests by region and answer, since the start."""
        found = self.call(dict, self.world.routing.sent[origin])
        return {(region, code): n for (_, region, code), n in found.items()}

    def counted(self) -> tuple[float, dict[tuple[str, str, str], int]]:
        """The twin's own time, and what the gateways have sent by origin, region and answer."""

        def read() -> tuple[float, dict[tuple[str, str, str], int]]:
            sent = self.world.routing.sent
            found = {(o, r, code): n for o in sent for (_, r, code), n in sent[o].items()}
            return self.world.now_s, found

        seen: tuple[float, dict[tuple[str, str, str], int]] = self.call(read)
        return seen

    def call(self, function: Any, *args: Any) -> Any:
        async def inner() -> Any:
            return function(*args)

        return self._run(inner())

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _tick(self) -> None:
        while True:
            for _ in self.world.tick(datetime.now(UTC).timestamp()):
                await asyncio.sleep(0)
            await asyncio.sleep(TICK_S)


def _cluster(place: str) -> ClusterStore:
    store, now = small_cluster(place), datetime.now(UTC)
    add_pod(store, f"{MODEL}-x-a", node=f"{place}-h100-reserved-01")
    served = next(m for m in _models() if m.id == MODEL)
    (route,) = first_routes(place, [served])
    (rule,) = route["spec"]["rules"]
    here = {backend(MODEL, region) for region in PLACES}
    rule["backendRefs"] = [ref for ref in rule["backendRefs"] if ref["name"] in here]
    route["metadata"]["annotations"]["infra-console.dev/residency"] = "anywhere"
    store.create(HTTP_ROUTES, route, now)
    return store


def _models() -> Iterator[Any]:
    from tiers.twin.profile import INFERENCE

    yield from INFERENCE


def fleet_document() -> dict[str, Any]:
    regions = [r for r in REGIONS if r.id in PLACES]
    return {
        "schema": "fleet/1",
        "regions": [
            {
                "id": r.id, "place": r.place, "latitude": r.latitude, "longitude": r.longitude,
                "jurisdiction": r.jurisdiction,
            }
            for r in regions
        ],
        "clusters": [{"id": r.id, "context": r.id, "region": r.id} for r in regions],
        "sources": [],
        "pools": [],
        "workloads": [],
        "tiers": {"namespaces": {"inference": "inference"}},
    }  # fmt: skip
