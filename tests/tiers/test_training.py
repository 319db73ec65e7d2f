"""Training from metrics to a recorded file, and taking the newest usable one."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from django.test import override_settings

from infra_console.fleet.config import FleetConfig
from infra_console.fleet.models import FleetSetting
from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.series import RawSeries
from infra_console.telemetry.sources import BoundSource
from tiers.adapters.model_files import save_model
from tiers.core.forecast.errors import TooLittleHistory
from tiers.core.forecast.networks import KINDS
from tiers.core.forecast.torch_model import expected_shapes
from tiers.errors import NoFleet
from tiers.models import ForecastModel
from tiers.queries import training_is_due
from tiers.training import load_active_model, train_forecaster

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ARRIVALS = "cluster_model:vllm_arrivals:rate5m"
REQUESTED = "cluster_namespace_phase:gpus_requested:sum"

FLEET = {
    "schema": "fleet/1",
    "regions": [
        {"id": "eastus", "place": "Virginia", "latitude": 37.0, "longitude": -79.0,
         "jurisdiction": "US", "utc_offset_hours": -5.0},
    ],
    "clusters": [{"id": "eastus", "context": "eastus", "region": "eastus"}],
    "sources": [{"id": "main", "url": "http://127.0.0.1:9", "clusters": ["eastus"]}],
    "pools": [],
    "workloads": [
        {"id": "chat-7b", "tier": "inference", "namespace": "inference", "kind": "Deployment",
         "name": "chat-7b", "model": "chat-7b", "regions": ["eastus"], "group_gpus": {"H100": 1},
         "units_per_group": {"H100": 5.0}, "unit": "requests/s",
         "shortfall_usd_per_unit_hour": 1.0},
        {"id": "training", "tier": "training", "namespace": "training", "kind": "Namespace",
         "regions": ["eastus"], "group_gpus": {"H100": 8}, "units_per_group": {"H100": 8.0},
         "unit": "GPUs", "shortfall_usd_per_unit_hour": 1.0},
    ],
    "tiers": {"namespaces": {"inference": "inference", "training": "training"}},
}  # fmt: skip


def recorded(days: float) -> MemorySource:
    """A daily wave of arrivals and a steady queue, every five minutes up to NOW."""
    times = NOW.timestamp() - 300.0 * np.arange(days * 288)[::-1]
    noise = np.random.default_rng(1).normal(size=len(times))
    wave = 20 + 12 * np.sin(2 * np.pi * times / 86_400) + noise
    where = {"cluster": "eastus"}
    phases = {"Running": np.full(len(times), 24.0), "Pending": np.full(len(times), 8.0)}
    return MemorySource(
        {
            ARRIVALS: [RawSeries({**where, "model_name": "chat-7b"}, times, wave)],
            REQUESTED: [
                RawSeries({**where, "namespace": "training", "phase": phase}, times, gpus)
                for phase, gpus in phases.items()
            ],
        }
    )


@pytest.fixture(autouse=True)
def state_dir(db: None, tmp_path: Path) -> Iterator[Path]:
    torch.set_num_threads(1)
    with override_settings(STATE_DIR=tmp_path):
        yield tmp_path


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> MemorySource:
    FleetConfig.model_validate(FLEET)
    FleetSetting.objects.create(id=1, document=FLEET)
    source = recorded(days=9)
    bound = BoundSource("main", frozenset({"eastus"}), 15.0, source)
    monkeypatch.setattr("infra_console.telemetry.queries.current_sources", lambda: (bound,))
    return source


def test_training_leaves_a_recorded_file_that_loads(metrics: MemorySource, state_dir: Path) -> None:
    record = train_forecaster(NOW, seed=7, epochs=1)
    assert record.series == 2
    assert record.state == "active"
    assert (state_dir / record.path).is_file()
    assert len(record.metrics["losses"]) == 1
    assert record.metrics["mae_vs_last_4h"] > 0
    model, version = load_active_model()
    assert version == record.version
    assert model is not None
    # Of nine days a quarter is kept from it, to be judged on.
    assert model.seen_until_s <= (NOW - timedelta(days=2)).timestamp()


def test_a_corrupt_file_is_refused_by_name_and_the_one_before_it_used(
    metrics: MemorySource, state_dir: Path
) -> None:
    older = train_forecaster(NOW - timedelta(hours=6), seed=7, epochs=1)
    newer = train_forecaster(NOW, seed=7, epochs=1)
    (state_dir / newer.path).write_bytes(b"torn")
    model, version = load_active_model()
    assert model is not None
    assert version == older.version
    newer.refresh_from_db()
    assert (newer.state, newer.reason) == ("refused", "its SHA-256 is not the recorded one")
    (state_dir / older.path).unlink()
    model, why = load_active_model()
    assert model is None
    assert "cannot be read" in why


def test_without_any_training_there_is_no_model() -> None:
    assert load_active_model() == (None, "no model has been trained yet")


def test_without_a_fleet_or_a_history_nothing_is_trained(metrics: MemorySource) -> None:
    metrics.data = {}
    with pytest.raises(TooLittleHistory):
        train_forecaster(NOW, seed=7, epochs=1)
    FleetSetting.objects.all().delete()
    with pytest.raises(NoFleet):
        train_forecaster(NOW, seed=7, epochs=1)
    assert not ForecastModel.objects.exists()


def test_the_same_moment_and_seed_give_the_same_weights_and_leave_no_half_written_file(
    metrics: MemorySource, state_dir: Path
) -> None:
    (state_dir / "models").mkdir()
    torn = state_dir / "models" / ".20261124T120000-7.safetensors.4711"  # of a killed worker
    torn.write_bytes(b"half")
    told: list[tuple[str, float]] = []
    first = train_forecaster(NOW, seed=7, epochs=1, told=lambda *said: told.append(said))
    assert not torn.exists()
    assert [stage for stage, _ in told] == ["reading", *["training"] * (1 + len(KINDS)), "judging"]
    assert [share for _, share in told] == sorted(share for _, share in told)
    again = train_forecaster(NOW, seed=7, epochs=1)
    assert (again.version, again.sha256) == (first.version, first.sha256)
    assert ForecastModel.objects.count() == 1


class Killed(BaseException):
    """As a worker's death: nothing of ours catches it."""


def test_a_killed_training_goes_on_from_its_last_epoch_and_ends_with_the_same_weights(
    metrics: MemorySource, state_dir: Path
) -> None:
    whole = train_forecaster(NOW, seed=7, epochs=2)
    shares: list[float] = []

    def until_first_epoch(stage: str, share: float) -> None:
        shares.append(share)
        if stage == "training" and len(shares) == 3:
            raise Killed

    folder = state_dir / "models"
    with pytest.raises(Killed):
        train_forecaster(NOW, seed=7, epochs=2, told=until_first_epoch)
    assert len(list(folder.glob(".*.checkpoint"))) == len(KINDS)
    told: list[str] = []
    again = train_forecaster(NOW, seed=7, epochs=2, told=lambda stage, _: told.append(stage))
    assert told.count("training") == 1 + 1  # it began, and one epoch was left
    assert (again.sha256, again.metrics) == (whole.sha256, whole.metrics)
    assert not list(folder.glob(".*"))


def _without_one(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return dict(list(weights.items())[1:])


def _reshaped(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    name, value = next(iter(weights.items()))
    return weights | {name: value[..., None]}


def _with_nan(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    name, value = next(iter(weights.items()))
    return weights | {name: np.full_like(value, np.nan)}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_without_one, "missing, unknown or of another shape"),
        (_reshaped, "missing, unknown or of another shape"),
        (_with_nan, "no numbers"),
    ],
)
def test_weights_that_cannot_be_right_are_refused_and_training_is_due(
    state_dir: Path, spoil: Callable[..., dict[str, np.ndarray]], why: str
) -> None:
    good = {name: np.zeros(shape, np.float32) for name, shape in expected_shapes().items()}
    path = Path("models") / "m.safetensors"
    sha256 = save_model(state_dir / path, spoil(good), seen_until_s=0.0)
    record = ForecastModel.objects.create(
        version="m", path=str(path), sha256=sha256, trained_at=NOW, seed=1, series=1, seconds=1.0
    )
    assert not training_is_due(now=NOW)
    model, words = load_active_model()
    assert model is None
    assert why in words
    record.refresh_from_db()
    assert record.state == "refused"
    assert why in record.reason
    assert training_is_due(now=NOW)
