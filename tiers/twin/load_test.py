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
# Simulated seconds times groups: three groups run a third of the time of one.
GROUP_SECONDS = 3600.0
HOW_MEASURED = (
    "load test in the event simulation: the highest constant rate per group with p95 TTFT within "
    "the objective, in a service as small as it runs anywhere (`manage.py twin load-test`)"
)
# requests/s
UNITS_PER_GROUP: dict[str, float] = {
    "chat-7b": 17.9,
    "chat-13b": 9.25,
    "code-34b": 5.15,
    "chat-70b": 4.22,
    "chat-180b": 2.9,
    "chat-405b": 1.38,
}


def measure_units_per_group(
    workload: InferenceWorkload, group_seconds: float = GROUP_SECONDS
) -> float:
    """Requests/s per group with p95 TTFT within the objective.

    Groups share one queue, so a service of several serves more per group than a single one; the
    smallest number that runs in any region is tested.
    """
    groups = min(count for count in workload.initial_groups if count)
    rates = [
        highest_rate_rps(
            SERVED_MODELS[workload.id].costs(),
            LENGTHS[workload.id],
            slo_ttft_p95_s=workload.slo_ttft_p95_ms / 1000.0,
            seed=seed,
            replicas=groups,
            measure_s=group_seconds / groups,
        )
        for seed in SEEDS
    ]
    return round(float(np.mean(rates)) / groups, 2)
