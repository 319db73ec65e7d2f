"""What forecasting gains over reacting, given how late this fleet acts.

A loop that only reacts acts on the value of one lag ago: its error is the last value's at that
horizon. A forecast is worth what it is better by there; a fleet that acts fast needs less of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiers.lags import Lag


@dataclass(frozen=True, slots=True)
class Gain:
    """One tier at the scored horizon that covers the lag; `share` of the error that is gone."""

    tier: str
    unit: str
    horizon_min: int
    reacting_error: float
    error: float
    judged: int
    longer: bool  # the lag is longer than any horizon that is judged

    @property
    def share(self) -> float | None:
        return 1 - self.error / self.reacting_error if self.reacting_error else None


def gains_over_reacting(scores: Sequence[Mapping[str, Any]], lag: Lag | None) -> Iterator[Gain]:
    """By tier; nothing where the lag or both errors are unknown."""
    if lag is None:
        return
    for tier, unit in dict.fromkeys((s["tier"], s["unit"]) for s in scores):
        known = {
            s["horizon_min"]: s
            for s in scores
            if (s["tier"], s["unit"]) == (tier, unit)
            and s["error"] is not None
            and s["naive"]["last"] is not None
        }
        if not known:
            continue
        wanted = lag.total_s / 60
        covering = [minutes for minutes in known if minutes >= wanted]
        found = known[min(covering) if covering else max(known)]
        yield Gain(
            tier, unit, found["horizon_min"], found["naive"]["last"], found["error"],
            found["judged"], longer=not covering,
        )  # fmt: skip
