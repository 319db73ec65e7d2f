"""The learned model: a network of each kind, trained across all series, averaged.

Trained with the pinball loss in units of each series' own error of holding the last value, since
that is how forecasts are judged: a quiet series counts as much as a wild one. Everything random
comes from one seed; no dropout. Global training after Oreshkin et al. 2020 and Salinas et al. 2020.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tiers.core.forecast.errors import TooLittleHistory
from tiers.core.forecast.features import SeriesMatrix, windows
from tiers.core.forecast.networks import KINDS, fresh_network
from tiers.core.forecast.quantiles import LEVELS, QUANTILES, STEPS, Array, tidy
from tiers.core.forecast.weights import Weights, check_weights
from tiers.core.forecast.windows import DAY, Index

EPOCHS = 4
_BATCH = 128
_PEAK_RATE = 2e-3
_WEIGHT_DECAY = 1e-2
_PREDICT_BATCH = 4096
_MAX_LESSONS = 60_000
_CLIP = 10.0  # outcomes further from the last value than ten daily means teach nothing more


@dataclass(frozen=True, slots=True, eq=False)
class TorchModel:
    """A trained ensemble: weights named "kind.layer", and up to when it has seen the series."""

    weights: Weights
    seen_until_s: float
    device: str = "cpu"

    def predict(self, matrix: SeriesMatrix, origins: Index) -> Array:
        """Quantiles (N, O, 24, 15) of every series at every origin; NaN without a fresh last value.

        Raises:
            ModelCorrupt, ModelWrongShape: the weights are not this ensemble's.
        """
        return tidy(np.mean(list(self.members(matrix, origins).values()), axis=0))

    def members(self, matrix: SeriesMatrix, origins: Index) -> dict[str, Array]:
        """The same of each network by itself."""
        networks = _networks_of(self.weights, self.device)
        count = len(matrix.history)
        rows = np.repeat(np.arange(count), len(origins))
        places = np.tile(origins, count)
        shape = (count, len(origins), STEPS, len(QUANTILES))
        found = {kind: np.empty((len(rows), *shape[2:])) for kind in networks}
        for start in range(0, len(rows), _PREDICT_BATCH):
            part = slice(start, start + _PREDICT_BATCH)
            seen = windows(matrix, rows[part], places[part])
            inputs = torch.from_numpy(seen.inputs).to(self.device)
            for kind, network in networks.items():
                with torch.inference_mode():
                    scaled = network(inputs).cpu().double().numpy()
                values = seen.last[:, None, None] + seen.scale[:, None, None] * scaled
                found[kind][part] = tidy(values)
        return {kind: values.reshape(shape) for kind, values in found.items()}


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """The name and shape of each weight of the ensemble."""
    return {
        f"{kind}.{name}": tuple(value.shape)
        for kind, network in KINDS.items()
        for name, value in network().state_dict().items()
    }


def train(
    matrix: SeriesMatrix,
    *,
    seed: int,
    train_to: int,
    epochs: int = EPOCHS,
    batches_per_epoch: int = 50,
    device: str = "cpu",
    told: Callable[[float], None] = lambda _share: None,
) -> tuple[TorchModel, list[float]]:
    """Fit the networks, one after the other.

    Args:
        matrix: N series; all contribute windows.
        seed: of the first weights and of the windows drawn.
        train_to: the last column whose value may be seen.
        epochs: of `batches_per_epoch` batches of 128 windows each.
        told: is told the share of all epochs done, after each.

    Returns:
        The model and the mean scaled loss of each epoch, over the networks.

    Raises:
        TooLittleHistory: there is no origin with a value before it and a known outcome.
    """
    seen = matrix.until(train_to)
    lessons = _lessons(seen)
    weights: dict[str, np.ndarray] = {}
    losses = np.zeros((len(KINDS), epochs))
    for place, kind in enumerate(KINDS):
        random = torch.Generator().manual_seed(seed * len(KINDS) + place)
        network = fresh_network(kind, random).to(device).train()
        share_told = _by_share(told, place * epochs, losses.size)
        losses[place] = _fit(network, lessons, random, epochs, batches_per_epoch, share_told)
        for name, value in network.state_dict().items():
            weights[f"{kind}.{name}"] = value.cpu().numpy().copy()
    model = TorchModel(weights, float(matrix.times_s[train_to]), device)
    return model, losses.mean(axis=0).tolist()


def _by_share(told: Callable[[float], None], before: int, total: int) -> Callable[[int], None]:
    return lambda epoch: told((before + epoch) / total)


@dataclass(frozen=True, slots=True, eq=False)
class _Lessons:
    """Windows (M, F), scaled outcomes (M, 24), whether each is known, and each window's weight."""

    inputs: Tensor
    outcomes: Tensor
    known: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


def _lessons(matrix: SeriesMatrix) -> _Lessons:
    rows, origins = _origins_to_learn_from(matrix)
    seen = windows(matrix, rows, origins)
    after = matrix.history[rows[:, None], origins[:, None] + np.arange(1, STEPS + 1)]
    scaled = (after - seen.last[:, None]) / seen.scale[:, None]
    known = np.isfinite(scaled)
    scaled = np.clip(np.where(known, scaled, 0.0), -_CLIP, _CLIP)
    return _Lessons(
        inputs=torch.from_numpy(seen.inputs),
        outcomes=torch.from_numpy(scaled.astype(np.float32)),
        known=torch.from_numpy(known),
        weight=torch.from_numpy(_weights(rows, scaled, known).astype(np.float32)),
    )


def _origins_to_learn_from(matrix: SeriesMatrix) -> tuple[Index, Index]:
    """Pairs (series, origin) with a fresh last value, an hour known before, and an outcome."""
    length = matrix.history.shape[1]
    known = np.isfinite(matrix.history)
    counted = np.concatenate([np.zeros((len(known), 1)), known.cumsum(axis=1)], axis=1)
    origins = np.arange(5, length - STEPS)
    before = counted[:, origins + 1] - counted[:, np.maximum(origins + 1 - DAY, 0)]
    after = counted[:, origins + 1 + STEPS] - counted[:, origins + 1]
    fresh = np.isfinite(matrix.fresh[:, origins])
    rows, places = np.nonzero(fresh & (before >= 6) & (after >= STEPS // 2))
    if not len(rows):
        raise TooLittleHistory("training needs at least one series with five hours known")
    stride = -(-len(rows) // _MAX_LESSONS)
    return rows[::stride], origins[places[::stride]]


def _weights(rows: Index, scaled: Array, known: np.ndarray) -> Array:
    """One over the mean error of holding the last value, by series; at most 20 times the middle."""
    total = np.bincount(rows, (np.abs(scaled) * known).sum(axis=1))
    count = np.bincount(rows, known.sum(axis=1))
    error = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    middle = float(np.nanmedian(error[error > 0])) if (error > 0).any() else 1.0
    weight: Array = middle / np.maximum(np.nan_to_num(error), middle / 20)
    return weight[rows]


def _fit(
    network: nn.Module,
    lessons: _Lessons,
    random: torch.Generator,
    epochs: int,
    batches: int,
    told: Callable[[int], None],
) -> list[float]:
    device = next(network.parameters()).device
    fit = torch.optim.AdamW(network.parameters(), lr=_PEAK_RATE, weight_decay=_WEIGHT_DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        fit, max_lr=_PEAK_RATE, total_steps=epochs * batches, pct_start=0.1
    )
    levels = torch.tensor(LEVELS, dtype=torch.float32, device=device)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for _ in range(batches):
            drawn = torch.randint(len(lessons), (_BATCH,), generator=random)
            over = lessons.outcomes[drawn].to(device)[..., None] - network(
                lessons.inputs[drawn].to(device)
            )
            loss = torch.maximum(levels * over, (levels - 1) * over).mean(-1)
            share = lessons.known[drawn].to(device) * lessons.weight[drawn].to(device)[:, None]
            loss = (loss * share).sum() / share.sum().clamp(min=1e-6)
            fit.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            fit.step()
            rate.step()
            total += float(loss.detach())
        losses.append(total / batches)
        told(len(losses))
    return losses


def _networks_of(weights: Weights, device: str) -> dict[str, nn.Module]:
    check_weights(weights, expected_shapes())
    networks = {}
    for kind, network in KINDS.items():
        own = network()
        prefix = f"{kind}."
        own.load_state_dict(
            {
                name.removeprefix(prefix): torch.from_numpy(value)
                for name, value in weights.items()
                if name.startswith(prefix)
            }
        )
        networks[kind] = own.to(device).eval()
    return networks
