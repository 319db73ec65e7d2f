"""Training the learned forecaster and taking the newest usable one; for tasks and commands only.

The newest three days (a quarter of a shorter history) are kept from the network, so that the gate
judges it on days it has not seen. A file that cannot be used is refused by name, and the one before
it is tried; without any, forecasts go on with the naive models.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
from django.conf import settings

from infra_console.fleet.queries import current_fleet
from tiers.adapters.model_files import CheckpointFiles, drop_partials, load_model, save_model
from tiers.core.forecast.errors import ModelUnusable, TooLittleHistory
from tiers.core.forecast.features import prepare
from tiers.core.forecast.run import MIX, SeriesForecast, forecast_all
from tiers.core.forecast.torch_model import EPOCHS, TorchModel, expected_shapes, train
from tiers.core.forecast.weights import check_weights
from tiers.core.forecast.windows import DAY
from tiers.errors import NoFleet
from tiers.facts import fleet_facts
from tiers.histories import Histories, read_histories
from tiers.models import ForecastModel
from tiers.training_runs import Told

log = logging.getLogger(__name__)

HISTORY_DAYS = 28.0
HELD_BACK_STEPS = 3 * DAY
ACTIVE, REFUSED = "active", "refused"
MODELS = Path("models")
READ_SHARE, FIT_SHARE = 0.05, 0.8  # of a training's time, for its progress


def train_forecaster(
    now: datetime, *, seed: int, epochs: int = EPOCHS, told: Told = lambda _stage, _share: None
) -> ForecastModel:
    """Train on the last 28 days of every series, keep the file, and record it as active.

    The same `now`, seed and history give the same weights, also when the first worker died: the
    next goes on from the last whole epoch.

    Raises:
        NoFleet: no fleet file has been applied.
        TooLittleHistory: no series has a day and four hours known. The model before stays active.
    """
    fleet = current_fleet()
    if fleet is None:
        raise NoFleet
    began_s = time.monotonic()
    drop_partials(settings.STATE_DIR / MODELS)  # whoever trains is alone: a dead worker left them
    told("reading", 0.0)
    histories = read_histories(fleet_facts(fleet), now=now, days=HISTORY_DAYS)
    if not histories.keys:
        raise TooLittleHistory("no series has a history yet")
    told("training", READ_SHARE)
    version = f"{now:%Y%m%dT%H%M%S}-{seed}"
    checkpoints = CheckpointFiles(settings.STATE_DIR / MODELS, version)
    model, losses = _fit(
        histories, seed=seed, epochs=epochs, checkpoints=checkpoints,
        told=lambda share: told("training", READ_SHARE + FIT_SHARE * share),
    )  # fmt: skip
    told("judging", READ_SHARE + FIT_SHARE)
    judged = forecast_all(
        histories.matrix,
        histories.times,
        now.timestamp(),
        utc_offset_h=histories.utc_offset_h,
        model=model,
    )
    path = MODELS / f"{version}.safetensors"
    sha256 = save_model(settings.STATE_DIR / path, model.weights, seen_until_s=model.seen_until_s)
    record, _ = ForecastModel.objects.update_or_create(
        version=version,
        defaults={
            "path": str(path),
            "sha256": sha256,
            "trained_at": now,
            "seed": seed,
            "series": len(histories.keys),
            "seconds": round(time.monotonic() - began_s, 1),
            "metrics": {"losses": [round(loss, 5) for loss in losses], **_metrics(judged)},
            "state": ACTIVE,
            "reason": "",
        },
    )
    checkpoints.drop()
    log.info("Trained forecast model %s on %d series", version, record.series)
    return record


def load_active_model() -> tuple[TorchModel | None, str]:
    """The newest usable model and its version, or None and why there is none."""
    why = "no model has been trained yet"
    for record in ForecastModel.objects.filter(state=ACTIVE).order_by("-trained_at"):
        try:
            stored = load_model(settings.STATE_DIR / record.path, sha256=record.sha256)
            check_weights(stored.weights, expected_shapes(), name=record.version)
        except ModelUnusable as err:
            log.warning("Refused forecast model %s: %s", record.version, err.problem)
            ForecastModel.objects.filter(pk=record.pk, state=ACTIVE).update(
                state=REFUSED, reason=err.problem
            )
            why = str(err)
            continue
        return TorchModel(stored.weights, stored.seen_until_s), record.version
    return None, why


def _fit(
    histories: Histories,
    *,
    seed: int,
    epochs: int,
    checkpoints: CheckpointFiles,
    told: Callable[[float], None],
) -> tuple[TorchModel, list[float]]:
    length = len(histories.times)
    matrix = prepare(histories.matrix, histories.times, histories.utc_offset_h)
    held_back = min(HELD_BACK_STEPS, length // 4)
    return train(
        matrix, seed=seed, epochs=epochs, train_to=length - 1 - held_back, told=told,
        checkpoints=checkpoints,
    )  # fmt: skip


def _metrics(judged: list[SeriesForecast]) -> dict[str, float | int | None]:
    """How the mixture with the model did on days it had not seen, against last value."""
    found: dict[str, float | int | None] = {}
    for horizon in ("2h", "4h"):
        pairs = [
            (f.errors[horizon][MIX].mae, f.errors[horizon]["last"].mae)
            for f in judged
            if MIX in f.errors[horizon] and "last" in f.errors[horizon]
        ]
        ratios = [ours / last for ours, last in pairs if last > 0]
        found[f"mae_vs_last_{horizon}"] = round(float(np.median(ratios)), 4) if ratios else None
        found[f"in_force_{horizon}"] = sum(f.model_in_force[horizon] == MIX for f in judged)
    return found
