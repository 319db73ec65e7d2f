"""The exporters' HTTP side: /<cluster>/dcgm, /<cluster>/vllm, /<cluster>/ksm, and /twin itself.

One plain HTTP address for all clusters. A cluster whose exporters cannot be reached closes the
connection without an answer, as a firewall or a dead host does to a scraper in the end.
"""

from collections.abc import Callable, Mapping

from aiohttp import web

from tiers.twin.exporters.dcgm import render_dcgm
from tiers.twin.exporters.ksm import render_ksm
from tiers.twin.exporters.text import CONTENT_TYPE, document, family
from tiers.twin.exporters.vllm import render_vllm
from tiers.twin.physics import ClusterPhysics

JOBS: dict[str, str] = {"dcgm": "dcgm-exporter", "vllm": "vllm", "ksm": "kube-state-metrics"}

_RENDER: dict[str, Callable[[ClusterPhysics], str]] = {
    "dcgm": render_dcgm,
    "vllm": render_vllm,
    "ksm": lambda physics: render_ksm(physics.store),
}


def render(exporter: str, physics: ClusterPhysics) -> str:
    """One exporter's text. Raises KeyError for an exporter that does not exist."""
    return _RENDER[exporter](physics)


def render_twin(time_factor: float) -> str:
    """What the twin says of itself."""
    text = "Factor by which drain and load delays are shortened; Prometheus time is wall time."
    return document([family("twin_time_factor", "gauge", text, [("", time_factor)])])


def metrics_app(
    clusters: Mapping[str, ClusterPhysics],
    *,
    time_factor: float,
    unreachable: Callable[[str], bool],
) -> web.Application:
    """The HTTP application; `unreachable(cluster)` says whose exporters do not answer now."""

    async def exporter(request: web.Request) -> web.StreamResponse:
        cluster, name = request.match_info["cluster"], request.match_info["exporter"]
        if cluster not in clusters or name not in _RENDER:
            raise web.HTTPNotFound(text="no such exporter\n")
        if unreachable(cluster):
            return _hang_up(request)
        return _text(render(name, clusters[cluster]))

    async def twin(request: web.Request) -> web.StreamResponse:
        return _text(render_twin(time_factor))

    app = web.Application()
    app.router.add_get("/twin/metrics", twin)
    app.router.add_get("/{cluster}/{exporter}", exporter)
    return app


def _text(body: str) -> web.Response:
    return web.Response(body=body.encode(), headers={"Content-Type": CONTENT_TYPE})


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
