"""Requests on their way: every region's users, spread over the regions as the HTTPRoutes say.

A Poisson stream that is split at random is a Poisson stream in each part, so a region is simply
asked at the rates that reach it from all others. What is sent to a region without power, or to a
backend that is not there, fails and is counted where it entered. The way between regions costs a
user time that vLLM does not see: it is in no metric here but the probes'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tiers.twin.demand import Demand, Surge, surge_factor
from tiers.twin.kube.store import ClusterStore
from tiers.twin.noise import stream
from tiers.twin.profile import INFERENCE
from tiers.twin.routes import NOWHERE, shares

# How a request ended, as a gateway counts it: no answer from a region, no such backend.
SENT, LOST, NO_BACKEND = "200", "503", "500"
Rates = dict[str, dict[str, float]]
"""Requests per second by model and the region where they entered."""


@dataclass
class Routing:
    """The gateways of all regions; `sent` counts by origin, then model, region and answer."""

    stores: Mapping[str, ClusterStore]
    demand: Demand
    seed: int
    now_s: float
    sent: dict[str, dict[tuple[str, str, str], int]] = field(default_factory=dict)
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        words = (stream(self.seed, "gateways") % 2**63, int(self.now_s))
        self._rng = np.random.default_rng(words)
        self.sent.update({origin: {} for origin in self.stores})

    def spread(
        self, now_s: float, surges: tuple[Surge, ...], dark: Sequence[str]
    ) -> dict[str, Rates]:
        """What reaches each region now; counts what does not. Call once a tick."""
        elapsed_s, self.now_s = max(0.0, now_s - self.now_s), now_s
        reached: dict[str, Rates] = {region: {} for region in self.stores}
        for origin, store in self.stores.items():
            split = {} if origin in dark else shares(store)
            for model, rps in self._entering(origin, now_s, surges):
                for region, share in split.get(model, {origin: 1.0}).items():
                    self._send(reached, origin, model, region, rps * share, elapsed_s, dark)
        return reached

    def count(self, region: str, model: str, came: int, rates: Mapping[str, float]) -> None:
        """So many requests came to a region; where they entered is drawn by the rates."""
        total = sum(rates.values())
        if not came or not total:
            return
        drawn = self._rng.multinomial(came, [rps / total for rps in rates.values()])
        for origin, requests in zip(rates, drawn, strict=True):
            self._add(origin, (model, region, SENT), int(requests))

    def _entering(
        self, origin: str, now_s: float, surges: tuple[Surge, ...]
    ) -> list[tuple[str, float]]:
        moment = np.array([now_s])
        return [
            (
                served.id,
                float(self.demand.rate_rps(origin, served.id, moment)[0])
                * surge_factor(surges, origin, served.id, now_s),
            )
            for served in INFERENCE
            if origin in served.regions
        ]

    def _send(
        self,
        reached: dict[str, Rates],
        origin: str,
        model: str,
        region: str,
        rps: float,
        elapsed_s: float,
        dark: Sequence[str],
    ) -> None:
        cut_off = region != origin and (region in dark or region not in self.stores)
        if region == NOWHERE or cut_off:
            code = NO_BACKEND if region == NOWHERE else LOST
            self._add(origin, (model, region, code), int(self._rng.poisson(rps * elapsed_s)))
        else:
            reached[region].setdefault(model, {})[origin] = rps

    def _add(self, origin: str, key: tuple[str, str, str], requests: int) -> None:
        if requests:
            sent = self.sent[origin]
            sent[key] = sent.get(key, 0) + requests
