"""The learned model: a network of each kind, trained across all series, averaged.

Trained with the pinball loss in units of each series' own error of holding the last value, since
that is how forecasts are judged: a quiet series counts as much as a wild one. Everything random
comes from one seed; no dropout. Global training after Oreshkin et al. 2020 and Salinas et al. 2020.
A training that was cut off goes on from its last whole epoch and ends with the same weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

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


State = Mapping[str, np.ndarray]


class Checkpoints(Protocol):
    """Where the state of each network after its last whole epoch is kept."""

    def load(self, kind: str) -> State | None: ...

    def keep(self, kind: str, state: State) -> None: ...


class NoCheckpoints:
    """Nothing is kept: a training that is cut off begins anew."""

    def load(self, _kind: str) -> State | None:
        return None

    def keep(self, _kind: str, _state: State) -> None:
        return


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
    checkpoints: Checkpoints | None = None,
) -> tuple[TorchModel, list[float]]:
    """Fit the networks, one after the other.

    Args:
        matrix: N series; all contribute windows.
        seed: of the first weights and of the windows drawn.
        train_to: the last column whose value may be seen.
        epochs: of `batches_per_epoch` batches of 128 windows each.
        told: is told the share of all epochs done, after each.
        checkpoints: hold what the same training, with the same series, left when it was cut off.

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
        fit = _Fit(network, random, epochs, batches_per_epoch)
        kept = checkpoints or NoCheckpoints()
        losses[place] = _fit(fit, kind, lessons, kept, share_told)
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


class _Fit:
    """A network with what its training needs to go on: optimiser, rate, random state, losses."""

    def __init__(
        self, network: nn.Module, random: torch.Generator, epochs: int, batches: int
    ) -> None:
        self.network, self.random = network, random
        self.epochs, self.batches = epochs, batches
        self.losses: list[float] = []
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=_PEAK_RATE, weight_decay=_WEIGHT_DECAY
        )
        self.rate = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=_PEAK_RATE, total_steps=epochs * batches, pct_start=0.1
        )

    def state(self) -> dict[str, np.ndarray]:
        found = {f"weight.{k}": v.cpu().numpy() for k, v in self.network.state_dict().items()}
        for place, weight in enumerate(self.network.parameters()):
            held = self.optimizer.state[weight]
            found |= {f"{part}.{place}": held[part].cpu().numpy() for part in _MOMENTS}
        group = self.optimizer.param_groups[0]
        found["random"] = self.random.get_state().numpy()
        found["rate"] = np.array([group["lr"], *group["betas"]])
        found["losses"] = np.array(self.losses)
        found["length"] = np.array([self.epochs, self.batches], dtype=np.int64)
        return found

    def go_on_from(self, state: State) -> None:
        """Take up what `state` gave; one of another length or network is left aside."""
        shapes = {f"weight.{k}": tuple(v.shape) for k, v in self.network.state_dict().items()}
        if {k: v.shape for k, v in state.items() if k.startswith("weight.")} != shapes:
            return
        if state["length"].tolist() != [self.epochs, self.batches]:
            return
        self.network.load_state_dict(
            {k.removeprefix("weight."): torch.tensor(state[k]) for k in shapes}
        )
        self.losses = state["losses"].tolist()
        steps = len(self.losses) * self.batches
        for place, weight in enumerate(self.network.parameters()):
            held: dict[str, Any] = {
                part: torch.tensor(state[f"{part}.{place}"], device=weight.device)
                for part in _MOMENTS
            }
            self.optimizer.state[weight] = held | {"step": torch.tensor(float(steps))}
        lr, *betas = state["rate"].tolist()
        self.optimizer.param_groups[0].update(lr=lr, betas=tuple(betas))
        self.rate.load_state_dict({"last_epoch": steps, "_step_count": steps + 1})
        self.random.set_state(torch.tensor(state["random"]))


_MOMENTS = ("exp_avg", "exp_avg_sq")


def _fit(
    fit: _Fit,
    kind: str,
    lessons: _Lessons,
    checkpoints: Checkpoints,
    told: Callable[[int], None],
) -> list[float]:
    if (left := checkpoints.load(kind)) is not None:
        fit.go_on_from(left)
    while len(fit.losses) < fit.epochs:
        fit.losses.append(_epoch(fit, lessons))
        checkpoints.keep(kind, fit.state())
        told(len(fit.losses))
    return fit.losses


def _epoch(fit: _Fit, lessons: _Lessons) -> float:
    device = next(fit.network.parameters()).device
    levels = torch.tensor(LEVELS, dtype=torch.float32, device=device)
    total = 0.0
    for _ in range(fit.batches):
        drawn = torch.randint(len(lessons), (_BATCH,), generator=fit.random)
        over = lessons.outcomes[drawn].to(device)[..., None] - fit.network(
            lessons.inputs[drawn].to(device)
        )
        loss = torch.maximum(levels * over, (levels - 1) * over).mean(-1)
        share = lessons.known[drawn].to(device) * lessons.weight[drawn].to(device)[:, None]
        loss = (loss * share).sum() / share.sum().clamp(min=1e-6)
        fit.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(fit.network.parameters(), 1.0)
        fit.optimizer.step()
        fit.rate.step()
        total += float(loss.detach())
    return total / fit.batches


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
