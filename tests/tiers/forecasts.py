"""Stored forecasts of the small fleet, for tests of the forecast page."""

from datetime import datetime
from typing import Any

from tiers.core.forecast.quantiles import QUANTILES, STEPS
from tiers.models import Cycle, WorkloadForecast

BAND = [4.0 + 0.2 * k for k in range(len(QUANTILES))]  # 4.0 to 6.8, median 5.4


def grid(at: datetime) -> datetime:
    """The last ten-minute mark, where forecasts begin."""
    return at.replace(minute=at.minute // 10 * 10, second=0, microsecond=0)


def made(
    at: datetime, *, missing: dict | None = None, learned: str = "no model", **changes: Any
) -> Cycle:
    """A cycle at `at` that forecast chat, flat at BAND."""
    cycle = Cycle.objects.create(
        started_at=at, state="done", requested_by="t", verdict="No change.",
        document={"forecast": {"missing": missing or {}, "learned_model": learned, "scores": []}},
    )  # fmt: skip
    values = {
        "workload": "chat", "tier": "inference", "unit": "requests/s", "made_at": grid(at),
        "last_value": 6.0, "model_2h": "mix", "model_4h": "last", "input_at": grid(at),
        "errors": {"2h": {"last": [2.0, 90], "day": [4.0, 90], "mix": [1.0, 90]}},
        "reasons": ["mixture up to 2h; last value not used because its error was 100% higher"],
        "coverage_95": 0.94,
    }  # fmt: skip
    WorkloadForecast.objects.create(
        cycle=cycle, cluster="north", step_s=600, quantiles=[BAND] * STEPS, **(values | changes)
    )
    return cycle
