"""What the twin keeps on disk: its settings, certificates, kubeconfigs and scrape targets.

All of it lies under the state folder: `twin/settings.json` (ports, tokens, seed, demand; mode 600),
`twin/tls/`, `twin/kubeconfig` (may write), `twin/kubeconfig-viewer`, `targets/twin.json`,
`fleet.toml`. Running `init` again keeps tokens, and ports that are free.
"""

import json
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tiers.twin.demand import BuiltInDemand, Demand
from tiers.twin.errors import NotInitialised
from tiers.twin.exporters.blackbox import MODULES, PROBE_EVERY_S, probe_url
from tiers.twin.fleet_file import fleet_toml
from tiers.twin.kube.files import write_private
from tiers.twin.kube.kubeconfig import write_kubeconfig
from tiers.twin.kube.server import HOST
from tiers.twin.kube.tls import TlsFiles, ensure_tls
from tiers.twin.metrics import JOBS, PROBE_JOB
from tiers.twin.profile import DEFAULT_SEED, DEFAULT_TIME_FACTOR, REGION_IDS
from tiers.twin.trace import load_trace


@dataclass(frozen=True)
class TwinPaths:
    """Where the twin's files lie in a state folder."""

    state_dir: Path

    @property
    def home(self) -> Path:
        return self.state_dir / "twin"

    @property
    def settings(self) -> Path:
        return self.home / "settings.json"

    @property
    def clusters(self) -> Path:
        return self.home / "clusters"

    @property
    def world(self) -> Path:
        return self.home / "world.json"

    @property
    def request_log(self) -> Path:
        return self.home / "requests.jsonl"

    @property
    def targets(self) -> Path:
        return self.state_dir / "targets" / "twin.json"

    @property
    def fleet(self) -> Path:
        return self.state_dir / "fleet.toml"

    def tls(self) -> TlsFiles:
        return ensure_tls(self.home / "tls")


@dataclass(frozen=True)
class TwinSettings:
    """How a twin was made: `demand` is a trace's path, or empty for the built-in profile; `size`
    says how many times the fleet of `profile` (168 nodes) it is.
    """

    seed: int
    time_factor: float
    demand: str
    api_ports: dict[str, int]
    metrics_port: int
    control_port: int
    viewer_token: str
    executor_token: str
    control_token: str
    size: int = 1


def load_settings(paths: TwinPaths) -> TwinSettings:
    """The settings that `init` wrote. Raises NotInitialised."""
    try:
        return TwinSettings(**json.loads(paths.settings.read_text()))
    except (OSError, ValueError, TypeError) as err:
        raise NotInitialised(paths.settings) from err


def load_demand(settings: TwinSettings) -> Demand:
    """The demand the twin was made with. Raises TraceInvalid."""
    if settings.demand:
        return load_trace(Path(settings.demand), settings.size)
    return BuiltInDemand(settings.seed, settings.size)


def init(
    paths: TwinPaths,
    *,
    demand: Path | None = None,
    time_factor: float | None = None,
    seed: int | None = None,
    size: int | None = None,
) -> TwinSettings:
    """Write everything a twin needs before it runs; what is not given stays as it was.

    Raises:
        TraceInvalid: the demand trace cannot be used; nothing has been written.
    """
    settings = _settings(paths)
    if demand is not None:
        settings = replace(settings, demand=str(demand.resolve()))
    if time_factor is not None:
        settings = replace(settings, time_factor=time_factor)
    if seed is not None:
        settings = replace(settings, seed=seed)
    if size is not None:
        settings = replace(settings, size=size)
    users = load_demand(settings)
    paths.home.mkdir(parents=True, exist_ok=True)
    paths.clusters.mkdir(exist_ok=True)
    paths.targets.parent.mkdir(parents=True, exist_ok=True)
    write_private(paths.settings, _json(asdict(settings)))
    _write_kubeconfigs(paths, settings)
    paths.targets.write_bytes(_json(scrape_targets(settings.metrics_port)))
    text = fleet_toml(
        time_factor=settings.time_factor,
        demand=users.description,
        notes=users.notes,
        size=settings.size,
    )
    paths.fleet.write_text(text)
    return settings


def _settings(paths: TwinPaths) -> TwinSettings:
    """Settings to start from: the old ones with ports that are free, or new ones."""
    try:
        old = load_settings(paths)
    except NotInitialised:
        return TwinSettings(
            seed=DEFAULT_SEED, time_factor=DEFAULT_TIME_FACTOR, demand="",
            viewer_token=secrets.token_urlsafe(24), executor_token=secrets.token_urlsafe(24),
            control_token=secrets.token_urlsafe(24), **_ports({}),
        )  # fmt: skip
    kept = {**old.api_ports, "metrics": old.metrics_port, "control": old.control_port}
    return replace(old, **_ports(kept))


def _ports(kept: Mapping[str, int]) -> dict[str, Any]:
    """A free port for every server, an old one where it is free. All are held until chosen."""
    held: list[socket.socket] = []
    try:
        ports = {name: _free_port(kept.get(name, 0), held) for name in (
            *REGION_IDS, "metrics", "control",
        )}  # fmt: skip
    finally:
        for one in held:
            one.close()
    return {
        "api_ports": {region: ports[region] for region in REGION_IDS},
        "metrics_port": ports["metrics"],
        "control_port": ports["control"],
    }


def _free_port(wanted: int, held: list[socket.socket]) -> int:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.append(one)
    try:
        one.bind((HOST, wanted))
    except OSError:
        one.bind((HOST, 0))
    return int(one.getsockname()[1])


def _write_kubeconfigs(paths: TwinPaths, settings: TwinSettings) -> None:
    urls = {cluster: f"https://{HOST}:{port}" for cluster, port in settings.api_ports.items()}
    authority = paths.tls().ca.read_bytes()
    executor, viewer = settings.executor_token, settings.viewer_token
    write_kubeconfig(paths.home / "kubeconfig", urls, authority, "executor", executor)
    write_kubeconfig(paths.home / "kubeconfig-viewer", urls, authority, "viewer", viewer)


def scrape_targets(metrics_port: int) -> list[dict[str, Any]]:
    """The file_sd document: a target per cluster and exporter, each probe, and the twin itself."""
    address = f"{HOST}:{metrics_port}"
    targets = [
        {
            "targets": [address],
            "labels": {
                "cluster": cluster,
                "job": job,
                "__metrics_path__": f"/{cluster}/{exporter}",
            },
        }
        for cluster in REGION_IDS
        for exporter, job in JOBS.items()
    ]
    itself = {"job": "twin", "__metrics_path__": "/twin/metrics"}
    return [*targets, *probe_targets(address), {"targets": [address], "labels": itself}]


def probe_targets(address: str) -> list[dict[str, Any]]:
    """Probes from each region to each other, as a blackbox job with its relabelling names them.

    `region` is where the probe starts, `target` where it goes. Without the label `cluster`: scraped
    once a minute, they would make the cluster's own metrics look late.
    """
    return [
        {
            "targets": [address],
            "labels": {
                "job": PROBE_JOB,
                "region": origin,
                "target": target,
                "instance": probe_url(target),
                "__metrics_path__": f"/{origin}/probe",
                "__param_module": MODULES[0],
                "__param_target": probe_url(target),
                "__scrape_interval__": f"{PROBE_EVERY_S}s",
            },
        }
        for origin in REGION_IDS
        for target in REGION_IDS
        if origin != target
    ]


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"
