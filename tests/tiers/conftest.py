"""The compute domain's fixtures: an applied fleet, metrics in memory, a cluster to read."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from infra_console.fleet.services import apply_fleet_config
from infra_console.telemetry import queries as telemetry
from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.series import RawSeries
from infra_console.telemetry.sources import BoundSource
from tests.tiers.factories import fleet_config
from tiers import cycle as cycles
from tiers.core.fleet_state import (
    ClusterState,
    DeploymentView,
    FleetState,
    NodeView,
    PodView,
)
from tiers.models import Cycle

POOL = "north/H100/reserved"
HISTORY_DAYS = 3


@pytest.fixture
def fleet(db: None) -> None:
    apply_fleet_config(fleet_config(), by="tester")


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[datetime, float], None]]:
    """Put in force a source whose samples end at `now`, with this many requests/s of chat."""

    def put(now: datetime, chat_rps: float, **changes: Any) -> MemorySource:
        source = MemorySource(recorded(now, chat_rps), **changes)
        bound = BoundSource("main", frozenset({"north"}), 15.0, source)
        monkeypatch.setattr(telemetry, "current_sources", lambda: (bound,))
        telemetry.forget_cached()
        return source

    yield put
    telemetry.forget_cached()


def recorded(now: datetime, chat_rps: float) -> dict[str, list[RawSeries]]:
    times = now.timestamp() - 300.0 * np.arange(HISTORY_DAYS * 288)[::-1]

    def steady(value: float, **labels: str) -> RawSeries:
        return RawSeries({"cluster": "north", **labels}, times, np.full(len(times), value))

    chat = {"model_name": "chat"}
    return {
        "up": [steady(1, job=job) for job in ("vllm", "dcgm-exporter", "kube-state-metrics")],
        "cluster_model:vllm_arrivals:rate5m": [steady(chat_rps, **chat)],
        "cluster_model:vllm_ttft_seconds:p95_5m": [steady(1.4, **chat)],
        "cluster_model_le:vllm_ttft_within:ratio_5m": [steady(0.8, le="1.0", **chat)],
        "cluster_model:vllm_requests_waiting:sum": [steady(3, **chat)],
        "cluster_namespace:dcgm_gr_engine_active:sum": [
            steady(7.5, namespace="inference"), steady(8, namespace="training")
        ],
        "cluster_namespace_phase:gpus_requested:sum": [
            steady(8, namespace="training", phase="Running"),
            steady(8, namespace="inference", phase="Running"),
        ],
        "cluster:nodes:count": [steady(3)],
        "cluster_tier:gpus_allocatable:sum": [
            steady(8, tier="inference"), steady(16, tier="training")
        ],
    }  # fmt: skip


def node(name: str, tier: str, **changes: Any) -> NodeView:
    values = {
        "name": name, "uid": f"uid-{name}", "pool": POOL, "gpu_type": "H100", "tier": tier,
        "gpus_capacity": 8, "gpus_allocatable": 8, "ready": True, "unschedulable": False,
    }  # fmt: skip
    return NodeView(**(values | changes))


@pytest.fixture
def north() -> ClusterState:
    """One inference node full of chat, one training node at work, one training node idle."""
    pods = [
        PodView("inference", f"chat-{i}", "i1", "Running", True, 4, "inference", "chat")
        for i in range(2)
    ]
    pods.append(
        PodView("training", "train-1-0", "t1", "Running", True, 8, "training", "training",
                "train-1", 60.0)
    )  # fmt: skip
    return ClusterState(
        cluster="north",
        region="north",
        source="kubernetes",
        nodes=(node("i1", "inference"), node("t1", "training"), node("t2", "training")),
        pods=tuple(pods),
        deployments=(DeploymentView("inference", "chat", "uid-chat", 2, 2, "chat"),),
    )


class FixedFleet:
    def __init__(self, state: FleetState) -> None:
        self.state = state

    def read(self, _clusters: object) -> FleetState:
        return self.state


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, fleet: None) -> Callable[..., Cycle]:
    """One cycle of a fleet as it is given."""

    def cycle(state: FleetState, *, by: str = "planner", now: datetime) -> Cycle:
        monkeypatch.setattr(cycles, "fleet_reader", lambda *_, **__: FixedFleet(state))
        return cycles.run_cycle(by=by, now=now, load_model=lambda: (None, "none in tests"))

    return cycle
