"""The exporters' HTTP side: /<cluster>/<exporter>, /<region>/probe, and /twin itself.

One plain HTTP address for all clusters. A cluster whose exporters cannot be reached closes the
connection without an answer, as a firewall or a dead host does to a scraper in the end.
"""

from collections.abc import Callable, Mapping

from aiohttp import web

from tiers.twin.exporters.answers import faulty, hang_up, healthy
from tiers.twin.exporters.blackbox import MODULES, probed_region, render_probe
from tiers.twin.exporters.dcgm import render_dcgm
from tiers.twin.exporters.faults import Fault, spoil
from tiers.twin.exporters.gateway import render_gateway
from tiers.twin.exporters.ksm import render_ksm
from tiers.twin.exporters.kueue import render_kueue
from tiers.twin.exporters.text import document, family
from tiers.twin.exporters.variants import Variant, shown
from tiers.twin.exporters.vllm import render_vllm
from tiers.twin.misbehaviour import Misbehaviour
from tiers.twin.physics import ClusterPhysics

JOBS: dict[str, str] = {
    "dcgm": "dcgm-exporter",
    "vllm": "vllm",
    "ksm": "kube-state-metrics",
    "kueue": "kueue",
    "gateway": "inference-gateway",
}
PROBE_JOB = "blackbox"

_RENDER: dict[str, Callable[..., str]] = {
    "dcgm": render_dcgm,
    "vllm": render_vllm,
    "ksm": lambda physics: render_ksm(physics.store),
    "kueue": lambda physics: render_kueue(physics.store),
    "gateway": render_gateway,
}


def render(exporter: str, physics: ClusterPhysics, variant: Variant | None = None) -> str:
    """One exporter's text. Raises KeyError for an exporter that does not exist."""
    if variant is None:
        return _RENDER[exporter](physics)
    return shown(exporter, variant, _RENDER[exporter](physics, **variant.options))


def render_twin(time_factor: float) -> str:
    """What the twin says of itself."""
    text = "Factor by which drain and load delays are shortened; Prometheus time is wall time."
    return document([family("twin_time_factor", "gauge", text, [("", time_factor)])])


class Exporters:
    """The exporters of every cluster, with what was made wrong with them by hand.

    A lying exporter's text is kept from the moment its lie is first scraped.
    """

    def __init__(
        self, clusters: Mapping[str, ClusterPhysics], misbehaviour: Callable[[], Misbehaviour]
    ) -> None:
        self.clusters = clusters
        self._misbehaviour = misbehaviour
        self._lies: dict[Fault, str] = {}

    def knows(self, cluster: str, exporter: str) -> bool:
        return cluster in self.clusters and exporter in _RENDER

    async def answer(self, request: web.Request, cluster: str, exporter: str) -> web.StreamResponse:
        """The answer to one scrape."""
        physics, state = self.clusters[cluster], self._misbehaviour()
        faults = state.active(cluster, exporter, physics.now_s)
        answering = next((fault for fault in faults if fault.place == "answer"), None)
        body = render(exporter, physics, state.variant(cluster, exporter))
        for fault in faults:
            body = self._spoilt(fault, body, physics.now_s)
        return healthy(body) if answering is None else await faulty(request, answering, body)

    def _spoilt(self, fault: Fault, body: str, now_s: float) -> str:
        if fault.kind == "lie":
            self._lies = {f: text for f, text in self._lies.items() if now_s < f.until_s}
            return self._lies.setdefault(fault, body)
        return spoil(fault, body, now_s=now_s) if fault.place == "text" and body else body


def metrics_app(
    clusters: Mapping[str, ClusterPhysics],
    *,
    time_factor: float,
    unreachable: Callable[[str], bool],
    misbehaviour: Callable[[], Misbehaviour] = Misbehaviour,
    dark: Callable[[str], bool] = lambda region: False,
) -> web.Application:
    """The HTTP application.

    `unreachable(cluster)` says whose exporters do not answer now, `dark(region)` who answers no
    probe.
    """
    exporters = Exporters(clusters, misbehaviour)

    async def exporter(request: web.Request) -> web.StreamResponse:
        cluster, name = request.match_info["cluster"], request.match_info["exporter"]
        if not exporters.knows(cluster, name):
            raise web.HTTPNotFound(text="no such exporter\n")
        if unreachable(cluster):
            return hang_up(request)
        return await exporters.answer(request, cluster, name)

    async def probe(request: web.Request) -> web.StreamResponse:
        origin, target = (
            request.match_info["region"],
            probed_region(request.query.get("target", "")),
        )
        module = request.query.get("module", MODULES[0])
        if origin not in clusters or not target or module not in MODULES:
            raise web.HTTPBadRequest(text="no such region, target or module\n")
        if unreachable(origin):
            return hang_up(request)
        physics = clusters[origin]
        return healthy(
            render_probe(
                origin, target, module=module, seed=physics.seed, now_s=physics.now_s,
                dark=dark(target),
            )
        )  # fmt: skip

    async def twin(_: web.Request) -> web.StreamResponse:
        return healthy(render_twin(time_factor))

    app = web.Application()
    app.router.add_get("/twin/metrics", twin)
    app.router.add_get("/{region}/probe", probe)
    app.router.add_get("/{cluster}/{exporter}", exporter)
    return app
