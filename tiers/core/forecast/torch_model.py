"""One small quantile network for all series: linear and two hidden layers side by side.

It forecasts the median as a change from the last value, and the other quantiles as cumulated
positive steps away from it, so that they cannot cross. The linear road follows DLinear (Zeng et
al. 2023), the shared scale-free windows follow N-BEATS' global training (Oreshkin et al. 2020).
Trained with the pinball loss. Everything random comes from one seed; no dropout.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tiers.core.forecast.errors import TooLittleHistory
from tiers.core.forecast.features import FEATURES, SeriesMatrix, windows
from tiers.core.forecast.quantiles import LEVELS, MEDIAN, QUANTILES, STEPS, Array, tidy
from tiers.core.forecast.weights import Weights, check_weights
from tiers.core.forecast.windows import DAY, Index

HIDDEN = 128
_BATCH = 512
_PEAK_RATE = 2e-3
_WEIGHT_DECAY = 1e-4
_PREDICT_BATCH = 4096
_ABOVE = len(QUANTILES) - 1 - MEDIAN


class QuantileNetwork(nn.Module):
    """(B, F) inputs to (B, 24, 15) quantiles in scaled distance from the last value."""

    def __init__(self) -> None:
        super().__init__()
        wide = STEPS * len(QUANTILES)
        self.first = nn.Linear(FEATURES, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, wide)
        self.straight = nn.Linear(FEATURES, STEPS)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = nn.functional.gelu(self.first(inputs))
        hidden = hidden + nn.functional.gelu(self.second(hidden))
        raw = self.out(hidden).view(-1, STEPS, len(QUANTILES))
        middle = raw[..., :1] + self.straight(inputs)[..., None]
        # Steps of about 0.02 at first: forecasts begin near "last value, narrow band".
        steps = nn.functional.softplus(raw[..., 1:] - 4.0)
        above = steps[..., :_ABOVE].cumsum(-1)
        below = steps[..., _ABOVE:].cumsum(-1).flip(-1)
        return torch.cat([middle - below, middle, middle + above], dim=-1)


@dataclass(frozen=True, slots=True, eq=False)
class TorchModel:
    """A trained network: its weights, and the time up to which it has seen the series."""

    weights: Weights
    seen_until_s: float
    device: str = "cpu"

    def predict(self, matrix: SeriesMatrix, origins: Index) -> Array:
        """Quantiles (N, O, 24, 15) of every series at every origin; NaN without a fresh last value.

        Raises:
            ModelCorrupt, ModelWrongShape: the weights are not this network's.
        """
        network = _network_of(self.weights).to(self.device).eval()
        count = len(matrix.history)
        rows = np.repeat(np.arange(count), len(origins))
        places = np.tile(origins, count)
        parts = [
            _predict(network, matrix, rows[i : i + _PREDICT_BATCH], places[i : i + _PREDICT_BATCH])
            for i in range(0, len(rows), _PREDICT_BATCH)
        ]
        return np.concatenate(parts).reshape(count, len(origins), STEPS, len(QUANTILES))


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """The name and shape of each weight of the network."""
    return {name: tuple(value.shape) for name, value in QuantileNetwork().state_dict().items()}


def train(
    matrix: SeriesMatrix,
    *,
    seed: int,
    train_to: int,
    epochs: int = 10,
    batches_per_epoch: int = 100,
    device: str = "cpu",
) -> tuple[TorchModel, list[float]]:
    """Fit the network.

    Args:
        matrix: N series; all contribute windows.
        seed: of the first weights and of the windows drawn.
        train_to: the last column whose value may be seen.
        epochs: of `batches_per_epoch` batches of 512 windows each.

    Returns:
        The model and the mean scaled loss of each epoch.

    Raises:
        TooLittleHistory: there is no origin with a day before it and a known outcome.
    """
    rows, origins = _origins_to_learn_from(matrix, train_to)
    random = torch.Generator().manual_seed(seed)
    network = _fresh_network(random).to(device).train()
    fit = torch.optim.AdamW(network.parameters(), lr=_PEAK_RATE, weight_decay=_WEIGHT_DECAY)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(fit, epochs * batches_per_epoch)
    targets = _targets(matrix, train_to)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for _ in range(batches_per_epoch):
            drawn = torch.randint(len(rows), (_BATCH,), generator=random).numpy()
            loss = _batch_loss(network, matrix, targets, rows[drawn], origins[drawn])
            fit.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            fit.step()
            rate.step()
            total += float(loss.detach())
        losses.append(total / batches_per_epoch)
    weights = {name: value.cpu().numpy().copy() for name, value in network.state_dict().items()}
    return TorchModel(weights, float(matrix.times_s[train_to]), device), losses


def _origins_to_learn_from(matrix: SeriesMatrix, train_to: int) -> tuple[Index, Index]:
    """Pairs (series, origin) with a fresh last value, half a day known before, and an outcome."""
    known = np.isfinite(matrix.history[:, : train_to + 1])
    counted = np.concatenate([np.zeros((len(known), 1)), known.cumsum(axis=1)], axis=1)
    origins = np.arange(DAY - 1, train_to - STEPS + 1)
    before = counted[:, origins + 1] - counted[:, origins + 1 - DAY]
    after = counted[:, origins + 1 + STEPS] - counted[:, origins + 1]
    fresh = np.isfinite(matrix.fresh[:, origins])
    rows, places = np.nonzero(fresh & (before >= DAY // 2) & (after >= STEPS // 2))
    if not len(rows):
        raise TooLittleHistory("training needs at least one series with a day and four hours known")
    return rows, origins[places]


def _targets(matrix: SeriesMatrix, train_to: int) -> Array:
    """The history with everything after `train_to` unknown."""
    seen = np.arange(matrix.history.shape[1]) <= train_to
    return np.where(seen, matrix.history, np.nan)


def _batch_loss(
    network: nn.Module, matrix: SeriesMatrix, targets: Array, rows: Index, origins: Index
) -> Tensor:
    device = next(network.parameters()).device
    seen = windows(matrix, rows, origins)
    after = targets[rows[:, None], origins[:, None] + np.arange(1, STEPS + 1)]
    scaled = (after - seen.last[:, None]) / seen.scale[:, None]
    known = torch.from_numpy(np.isfinite(scaled)).to(device)
    outcome = torch.from_numpy(np.nan_to_num(scaled).astype(np.float32)).to(device)
    over = outcome[..., None] - network(torch.from_numpy(seen.inputs).to(device))
    levels = torch.tensor(LEVELS, dtype=torch.float32, device=device)
    loss = torch.maximum(levels * over, (levels - 1) * over).mean(-1)
    return (loss * known).sum() / known.sum().clamp(min=1)


def _predict(network: nn.Module, matrix: SeriesMatrix, rows: Index, origins: Index) -> Array:
    device = next(network.parameters()).device
    seen = windows(matrix, rows, origins)
    with torch.inference_mode():
        scaled = network(torch.from_numpy(seen.inputs).to(device)).cpu().double().numpy()
    values: Array = seen.last[:, None, None] + seen.scale[:, None, None] * scaled
    return tidy(values)


def _fresh_network(random: torch.Generator) -> QuantileNetwork:
    """Weights drawn from the generator, since torch's own start uses the global one."""
    network = QuantileNetwork()
    with torch.no_grad():
        for layer in (network.first, network.second, network.out, network.straight):
            bound = float(layer.in_features**-0.5)
            layer.weight.uniform_(-bound, bound, generator=random)
            layer.bias.zero_()
        network.out.weight.mul_(0.1)
        network.straight.weight.zero_()
    return network


def _network_of(weights: Weights) -> QuantileNetwork:
    check_weights(weights, expected_shapes())
    network = QuantileNetwork()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return network
