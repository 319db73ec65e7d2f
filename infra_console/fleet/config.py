"""The fleet file, `fleet/1`: who is who, in one TOML document that an operator writes.

It maps kubeconfig contexts to regions, metric sources to clusters, node labels to pools, and
Kubernetes objects to workloads. `manage.py fleet_apply FILE` reads it into the database;
docs/connect.md explains every key. Unknown keys are refused with their path.
"""

import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from infra_console.access.roles import ROLES
from infra_console.fleet.errors import FleetFileInvalid
from infra_console.fleet.source_config import Slug, SourceConfig

Tier = Literal["inference", "training", "operational"]
Purchase = Literal["reserved", "on_demand", "spot"]
# How a document that was applied long ago is read: what is refused today was accepted then, and a
# console that stops at it would show nothing. The doctor says what is refused.
STORED = {"stored": True}
SERVICES = frozenset({"Deployment", "StatefulSet", "LeaderWorkerSet"})  # kinds with replicas
# The edges of vLLM's time_to_first_token_seconds: only at one is the share within an SLO measured.
TTFT_EDGES_MS = (
    1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000, 20_000, 40_000,
    80_000, 160_000, 640_000, 2_560_000,
)  # fmt: skip

# What shares a fabric, narrowest first; a zone is what is left where nobody labels fabrics.
BLOCK_KEYS = (
    "nvidia.com/gpu.clique", "network.topology.nvidia.com/leaf",
    "cloud.google.com/gce-topology-block", "topology.k8s.aws/network-node-layer-3",
    "topology.kubernetes.io/zone",
)  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RegionConfig(_Strict):
    id: Slug
    place: str
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    jurisdiction: str
    utc_offset_hours: float = Field(default=0.0, ge=-12, le=14)


class ClusterConfig(_Strict):
    """One Kubernetes API; `id` is the `cluster` label on its series."""

    id: Slug
    context: str
    region: Slug


class PoolConfig(_Strict):
    """Interchangeable GPUs of one cluster; `selector` are the node labels that say membership."""

    id: str
    cluster: Slug
    gpu_type: str
    purchase: Purchase
    usd_per_gpu_hour: float | None = Field(default=None, ge=0)  # None: the price book, or unknown
    gpu_memory_gib: float = Field(gt=0)
    selector: dict[str, str] = Field(min_length=1)
    provision_probability: float | None = Field(default=None, ge=0, le=1)  # of getting more of it
    fallbacks: tuple[str, ...] = ()  # pools to grow in where it gives none; else any with room


class GitConfig(_Strict):
    """Where a repository holds the replicas of a workload; `repository` is one of those that
    INFRA_CONSOLE_GIT_REPOSITORIES names."""

    repository: Slug
    file: str
    field: tuple[str | int, ...] = ("spec", "replicas")


class WorkloadConfig(_Strict):
    """Something that asks for GPUs; `units_per_group` is what one group serves at its SLO."""

    id: Slug
    tier: Tier
    namespace: str
    kind: Literal["Deployment", "StatefulSet", "LeaderWorkerSet", "Job", "Namespace"]
    name: str = ""
    model: str = ""
    regions: tuple[Slug, ...]
    group_gpus: dict[str, Annotated[int, Field(gt=0)]]
    units_per_group: dict[str, Annotated[float, Field(gt=0)]]
    unit: Literal["requests/s", "GPUs"]
    floor_groups: int = Field(default=0, ge=0)
    ceiling_groups: int = Field(default=10_000, ge=0)
    slo_ttft_p95_ms: float | None = None
    spot_ok: bool = False
    move_s: float = Field(default=300.0, ge=0)
    min_dwell_s: float = Field(default=900.0, ge=0)  # what a plan changed less long ago stays
    git: GitConfig | None = None
    preempt_loss_gpu_hours: float = Field(default=0.0, ge=0)
    shortfall_usd_per_unit_hour: float = Field(ge=0)

    @field_validator("slo_ttft_p95_ms")
    @classmethod
    def _on_an_edge(cls, slo_ms: float | None, info: ValidationInfo) -> float | None:
        if slo_ms is not None and slo_ms not in TTFT_EDGES_MS and not _is_stored(info):
            edges = ", ".join(str(edge) for edge in TTFT_EDGES_MS)
            raise ValueError(f"must be a bucket edge of vLLM's time to first token: {edges} (ms)")
        return slo_ms

    @model_validator(mode="after")
    def _types_agree(self) -> Self:
        if set(self.group_gpus) != set(self.units_per_group):
            raise ValueError("group_gpus and units_per_group must name the same GPU types")
        return self


class TiersConfig(_Strict):
    """How nodes and namespaces say their tier, and each tier's floor per cluster in GPUs."""

    label_key: str = "infra-console.dev/tier"
    namespaces: dict[str, Tier]
    floor_gpus: dict[Tier, int] = {}


class LabelsConfig(_Strict):
    """Which labels name a node's block and a pod's team; the first that is there counts."""

    block: tuple[str, ...] = BLOCK_KEYS
    team: tuple[str, ...] = ()
    team_of_namespace: dict[str, str] = {}


class CheckpointConfig(_Strict):
    """How the trainers of one ClusterQueue are asked for a checkpoint beside the annotation, and
    which metric (Unix seconds, by namespace and pod) tells of the last one."""

    webhook: str = Field(default="", pattern=r"^(https?://[^/@\s]+(/\S*)?)?$")
    metric: str = Field(default="", pattern=r"^([a-zA-Z_:][a-zA-Z0-9_:]*)?$")


class TwinConfig(_Strict):
    """Present only when the fleet is simulated: the page says so, and by how much time is cut."""

    time_factor: float = Field(gt=0)
    demand: str = "built-in profile"
    notes: tuple[str, ...] = ()


class ApprovalRule(_Strict):
    """How many people a plan needs when all the conditions that are given here hold of it."""

    title: str
    approvals: int = Field(default=1, ge=1, le=5)
    roles: tuple[str, ...] = ()  # each is to be held by one of the approvers
    min_gpus: int = Field(default=0, ge=0)  # GPUs moved
    min_clusters: int = Field(default=0, ge=0)
    min_training_gpus: int = Field(default=0, ge=0)  # GPUs taken from training
    at_floor: bool = False  # a tier that gives GPUs is left at its floor
    tiers: tuple[Tier, ...] = ()  # any of them is touched
    clusters: tuple[Slug, ...] = ()  # any of them is touched

    @field_validator("roles")
    @classmethod
    def _roles_exist(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(roles) - set(ROLES)):
            raise ValueError(f"unknown role {', '.join(unknown)}; there are {', '.join(ROLES)}")
        return roles


class FleetConfig(_Strict):
    schema_: Literal["fleet/1"] = Field(alias="schema")
    regions: tuple[RegionConfig, ...]
    clusters: tuple[ClusterConfig, ...]
    sources: tuple[SourceConfig, ...]
    pools: tuple[PoolConfig, ...]
    workloads: tuple[WorkloadConfig, ...]
    tiers: TiersConfig
    approvals: tuple[ApprovalRule, ...] | None = None  # None: the built-in table
    labels: LabelsConfig = LabelsConfig()
    checkpoints: dict[str, CheckpointConfig] = {}  # by ClusterQueue
    twin: TwinConfig | None = None

    @model_validator(mode="after")
    def _references_exist(self, info: ValidationInfo) -> Self:
        if _is_stored(info):
            return self
        regions = {r.id for r in self.regions}
        clusters = {c.id for c in self.clusters}
        _known("clusters.region", (c.region for c in self.clusters), regions)
        pools = {p.id for p in self.pools}
        _known("pools.fallbacks", (f for p in self.pools for f in p.fallbacks), pools)
        if len({c.region for c in self.clusters}) < len(self.clusters):
            # Demand belongs to a region; dividing it between its clusters is not built yet.
            raise ValueError("clusters: a region may hold one cluster for now")
        ruled = (c for rule in self.approvals or () for c in rule.clusters)
        _known("approvals.clusters", ruled, clusters)
        _known("pools.cluster", (p.cluster for p in self.pools), clusters)
        _known("sources.clusters", (c for s in self.sources for c in s.clusters), clusters)
        _known("workloads.regions", (r for w in self.workloads for r in w.regions), regions)
        return self

    @model_validator(mode="after")
    def _nothing_is_counted_twice(self, info: ValidationInfo) -> Self:
        if _is_stored(info):
            return self
        _unique("regions.id", (r.id for r in self.regions))
        _unique("clusters.id", (c.id for c in self.clusters))
        _unique("sources.id", (s.id for s in self.sources))
        _unique("sources.clusters", (c for s in self.sources for c in s.clusters))
        _unique("pools.id", (p.id for p in self.pools))
        _unique("workloads.id", (w.id for w in self.workloads))
        services = [w for w in self.workloads if w.kind in SERVICES]
        _unique("workloads.name", (f"{w.namespace}/{w.name}" for w in services))
        # vLLM counts by model and cluster, pods ask by namespace: what shares either would plan on
        # the same demand twice.
        models = ((w.model, r) for w in services if w.model for r in w.regions)
        _unique("workloads.model", (f"{model} in {region}" for model, region in models))
        asking = (w.namespace for w in self.workloads if w.unit == "GPUs")
        _unique("workloads.namespace with unit GPUs", asking)
        queues = (w.tier for w in self.workloads if w.kind not in SERVICES)
        _unique("workloads.tier other than services", queues)
        return self


def _is_stored(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("stored"))


def _known(path: str, names: Iterable[str], known: set[str]) -> None:
    if missing := sorted(set(names) - known):
        raise ValueError(f"{path} names unknown {', '.join(missing)}")


def _unique(path: str, names: Iterable[str]) -> None:
    if repeated := sorted(name for name, times in Counter(names).items() if times > 1):
        raise ValueError(f"{path} names {', '.join(repeated)} more than once")


def load_fleet_file(path: Path) -> FleetConfig:
    """Read and check a fleet file.

    Raises:
        FleetFileInvalid: the file is missing, is not TOML, or breaks the schema; the message names
            each wrong key by its path. Nothing has been changed.
    """
    try:
        data = tomllib.loads(path.read_text())
    except OSError as err:
        raise FleetFileInvalid(path, f"cannot be read: {err.strerror}") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise FleetFileInvalid(path, f"is not TOML: {err}") from err
    try:
        return FleetConfig.model_validate(data)
    except ValidationError as err:
        raise FleetFileInvalid(path, problems_of(err)) from err


def problems_of(err: ValidationError) -> str:
    """Each wrong key by its path, and what is wrong with it."""
    return "; ".join(
        f"{'.'.join(str(part) for part in e['loc']) or 'file'}: {e['msg']}" for e in err.errors()
    )
