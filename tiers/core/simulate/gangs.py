"""Gangs, their jobs and attempts, and the account of nodes' time: the data of `training`."""

from dataclasses import dataclass, field
from typing import Literal

Ending = Literal["finished", "preempted", "failed"]


@dataclass(frozen=True)
class TrainingCosts:
    """Seconds a gang loads, works between checkpoints, and stands still for one."""

    load_s: float
    checkpoint_every_s: float
    checkpoint_s: float = 0.0
    one_block: bool = False


@dataclass(frozen=True, order=True)
class Job:
    """A gang and its work; orders by arrival."""

    arrival_s: float
    id: int
    nodes: int = field(compare=False)
    work_s: float = field(compare=False)
    min_nodes: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Outage:
    """A node that is away from `from_s` to `until_s`: failed, or moved to another tier."""

    node: int
    from_s: float
    until_s: float


@dataclass(frozen=True)
class Attempt:
    """One run of a gang on `nodes`; `kept_s` is the work it leaves behind, at full size."""

    started_s: float
    ended_s: float
    nodes: tuple[int, ...]
    kept_s: float
    lost_s: float
    ending: Ending


@dataclass
class Gang:
    """A job on its way: its attempts so far, its kept work, the nodes it holds now."""

    job: Job
    attempts: list[Attempt] = field(default_factory=list)
    kept_s: float = 0.0
    nodes: tuple[int, ...] = ()
    started_s: float = 0.0
    finished_s: float | None = None

    @property
    def speed(self) -> float:
        return len(self.nodes) / self.job.nodes


@dataclass
class NodeSeconds:
    """Where nodes spent their time; GPU-seconds are these times the GPUs of a node."""

    useful: float = 0.0
    lost: float = 0.0
    loading: float = 0.0
    checkpointing: float = 0.0
    idle: float = 0.0
    down: float = 0.0

    @property
    def total(self) -> float:
        return (
            self.useful + self.lost + self.loading + self.checkpointing + self.idle + self.down
        )  # fmt: skip
