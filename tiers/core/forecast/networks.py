"""A small quantile network: a transformer over hourly patches (PatchTST, Nie et al. 2023).

It reads windows (features.py) and forecasts the median as a change from the last value, and the
other quantiles as cumulated positive steps away from it, so that they cannot cross. Beside the
transformer runs a straight linear road (DLinear, Zeng et al. 2023).
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


# Others may join: the learned path is the mean of all kinds.
KINDS: Mapping[str, type[nn.Module]] = {"patches": Patches}


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
