"""Random steps of plans' lives agree with the model of benchmarks.fault_machine.

Sixty here; FAULT_STEPS, or the benchmark, asks for more.
"""

import os

from benchmarks.fault_machine import run_machine

SEED = int(os.environ.get("FAULT_SEED", "1"))
STEPS = int(os.environ.get("FAULT_STEPS", "60"))


def test_any_order_of_events_ends_as_the_model_says(named_cluster: str) -> None:
    print(f"seed {SEED}")
    assert run_machine(STEPS, SEED) >= STEPS
