"""The operator's load test: what one group of each served model serves within its objective.

`measure_units_per_group` finds it in the event simulation by bisection. `UNITS_PER_GROUP` is its
result, kept because it takes a minute; `manage.py twin load-test` measures again and compares.
"""

import numpy as np

from tiers.core.simulate.capacity import highest_rate_rps
from tiers.core.simulate.profiles import SERVED_MODELS
from tiers.twin.lengths import LENGTHS
from tiers.twin.profile import InferenceWorkload

SEEDS = (7, 8)
MEASURED_S = 3600.0
HOW_MEASURED = (
    "load test in the event simulation: the highest constant rate one group serves with p95 TTFT "
    "within the objective, one hour, mean of two seeds (`manage.py twin load-test`)"
)
# requests/s
UNITS_PER_GROUP: dict[str, float] = {
    "chat-7b": 17.4,
    "chat-13b": 8.75,
    "code-34b": 3.78,
    "chat-70b": 2.88,
    "chat-180b": 2.9,
    "chat-405b": 1.38,
}


def measure_units_per_group(workload: InferenceWorkload, measured_s: float = MEASURED_S) -> float:
    """Requests/s that one group serves with p95 TTFT within its objective."""
    rates = [
        highest_rate_rps(
            SERVED_MODELS[workload.id].costs(),
            LENGTHS[workload.id],
            slo_ttft_p95_s=workload.slo_ttft_p95_ms / 1000.0,
            seed=seed,
            measure_s=measured_s,
        )
        for seed in SEEDS
    ]
    return round(float(np.mean(rates)), 2)
