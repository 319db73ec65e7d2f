"""Three small quantile networks that err differently: stacked blocks, a patch transformer, an LSTM.

All read the same windows (features.py) and forecast the median as a change from the last value, and
the other quantiles as cumulated positive steps away from it, so that they cannot cross.

- blocks: residual fully connected blocks that each explain a part of the window and pass on the
  rest (N-BEATS, Oreshkin et al. 2020, arXiv 1905.10437, generic form), beside a linear road
  (DLinear, Zeng et al. 2023).
- patches: a transformer over hourly patches (PatchTST, Nie et al. 2023, arXiv 2211.14730).
- memory: a two-layer LSTM over the same hourly patches; an LSTM of 144 steps costs ten times more.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tiers.core.forecast.features import CONTEXT, FEATURES, HOUR
from tiers.core.forecast.quantiles import MEDIAN, QUANTILES, STEPS

_ABOVE = len(QUANTILES) - 1 - MEDIAN
_HOURS = CONTEXT // HOUR
_ASIDE = FEATURES - CONTEXT - _HOURS  # what is no part of the last 24 hours
_WIDTH = 48
_HIDDEN = 128
_BLOCKS = 3
# Steps of about 0.02 at first: forecasts begin near "last value, narrow band".
_NARROW = 4.0


class Head(nn.Module):
    """(B, D) to (B, 24, 15) quantiles in order, around a (B, 24) base."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, STEPS * len(QUANTILES))

    def forward(self, hidden: Tensor, base: Tensor) -> Tensor:
        raw = self.out(hidden).view(-1, STEPS, len(QUANTILES))
        middle = raw[..., :1] + base[..., None]
        steps = nn.functional.softplus(raw[..., 1:] - _NARROW)
        above = steps[..., :_ABOVE].cumsum(-1)
        below = steps[..., _ABOVE:].cumsum(-1).flip(-1)
        return torch.cat([middle - below, middle, middle + above], dim=-1)


class Blocks(nn.Module):
    """Residual blocks over the whole window."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Linear(FEATURES, _HIDDEN) for _ in range(_BLOCKS))
        self.second = nn.ModuleList(nn.Linear(_HIDDEN, _HIDDEN) for _ in range(_BLOCKS))
        self.backcast = nn.ModuleList(nn.Linear(_HIDDEN, FEATURES) for _ in range(_BLOCKS - 1))
        self.straight = nn.Linear(FEATURES, STEPS)
        self.head = Head(_HIDDEN)

    def forward(self, inputs: Tensor) -> Tensor:
        rest, found = inputs, torch.zeros(len(inputs), _HIDDEN, device=inputs.device)
        for place in range(_BLOCKS):
            hidden = nn.functional.gelu(self.first[place](rest))
            hidden = nn.functional.gelu(self.second[place](hidden))
            found = found + hidden
            if place < len(self.backcast):
                rest = rest - self.backcast[place](hidden)
        quantiles: Tensor = self.head(found, self.straight(inputs))
        return quantiles


class Patches(nn.Module):
    """A transformer over hourly patches and one token for what lies aside."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Linear(HOUR + 1, _WIDTH)
        self.aside = nn.Linear(_ASIDE, _WIDTH)
        self.place = nn.Parameter(torch.zeros(_HOURS + 1, _WIDTH))
        layer = nn.TransformerEncoderLayer(
            _WIDTH, 4, 2 * _WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.join = nn.Linear((_HOURS + 1) * _WIDTH, _HIDDEN)
        self.straight = nn.Linear(_ASIDE, STEPS)
        self.head = Head(_HIDDEN)

    def forward(self, inputs: Tensor) -> Tensor:
        patches, aside = hourly(inputs)
        tokens = torch.cat([self.patch(patches), self.aside(aside)[:, None]], dim=1)
        seen = self.encoder(tokens + self.place)
        hidden = nn.functional.gelu(self.join(seen.flatten(1)))
        quantiles: Tensor = self.head(hidden, self.straight(aside))
        return quantiles


class Memory(nn.Module):
    """A two-layer LSTM over hourly patches."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(HOUR + 1, _WIDTH, num_layers=2, batch_first=True)
        self.join = nn.Linear(_WIDTH + _ASIDE + 2 * HOUR, _HIDDEN)
        self.straight = nn.Linear(_ASIDE, STEPS)
        self.head = Head(_HIDDEN)

    def forward(self, inputs: Tensor) -> Tensor:
        patches, aside = hourly(inputs)
        newest = inputs[:, CONTEXT - 2 * HOUR : CONTEXT]
        seen = torch.cat([self.lstm(patches)[0][:, -1], aside, newest], dim=1)
        hidden = nn.functional.gelu(self.join(seen))
        quantiles: Tensor = self.head(hidden, self.straight(aside))
        return quantiles


KINDS: Mapping[str, type[nn.Module]] = {"blocks": Blocks, "patches": Patches, "memory": Memory}


def hourly(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """(B, F) windows as (B, 24, 7) hours with their share missing, and (B, A) the rest."""
    values = inputs[:, :CONTEXT].reshape(-1, _HOURS, HOUR)
    missing = inputs[:, CONTEXT : CONTEXT + _HOURS, None]
    return torch.cat([values, missing], dim=2), inputs[:, CONTEXT + _HOURS :]


def fresh_network(kind: str, random: torch.Generator) -> nn.Module:
    """A network whose weights come from the generator, since torch's own start uses the global one.

    The heads begin near zero: a fresh network says "last value".
    """
    network = KINDS[kind]()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "norm" in name:
                continue
            if weight.dim() > 1 and "place" not in name:
                bound = float(weight.shape[-1] ** -0.5)
                weight.uniform_(-bound, bound, generator=random)
            else:
                weight.zero_()
            if name.startswith("head.") or name.startswith("straight."):
                weight.mul_(0.1 if name.startswith("head.") else 0.0)
    return network
