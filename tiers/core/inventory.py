"""What a first look at unknown clusters found, whichever source told it: `inventory/1`.

None is unknown, everywhere. Kept as JSON, so that rules can be tried without looking again.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FoundNode(_Strict):
    """A node with GPUs. `resources` are its GPU resources as Kubernetes counts them, MIG ones
    under their own names; `allocatable` likewise."""

    cluster: str
    name: str
    labels: dict[str, str] = {}
    resources: dict[str, int] = {}
    allocatable: dict[str, int] = {}
    ready: bool | None = None
    unschedulable: bool | None = None
    taints: tuple[tuple[str, str], ...] = ()


class FoundPod(_Strict):
    """A pod that asks for GPUs, running or waiting."""

    cluster: str
    namespace: str
    name: str
    node: str = ""
    phase: str = "Unknown"
    gpus: int = 0
    owner_kind: str = ""
    owner_name: str = ""
    queue: str = ""
    labels: dict[str, str] = {}


class FoundGpu(_Strict):
    """One GPU as its exporter names it. `activity` is the share of time its engines worked."""

    cluster: str
    id: str
    node: str = ""
    model: str = ""
    memory_mib: float | None = None
    activity: float | None = None
    busy_pod: str = ""
    mig_profile: str = ""


class Inventory(_Strict):
    """`problems` say which cluster or query failed, and how; `unknown` what was not told."""

    schema_: Literal["inventory/1"] = Field(default="inventory/1", alias="schema")
    taken_at: datetime
    source: Literal["kubernetes", "prometheus"]
    nodes: tuple[FoundNode, ...] = ()
    pods: tuple[FoundPod, ...] = ()
    gpus: tuple[FoundGpu, ...] = ()
    problems: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def clusters(self) -> tuple[str, ...]:
        found = {n.cluster for n in self.nodes} | {g.cluster for g in self.gpus}
        return tuple(sorted(found))
