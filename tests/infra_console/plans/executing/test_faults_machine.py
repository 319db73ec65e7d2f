"""Random steps of plans' lives agree with the model of benchmarks.fault_machine.

Two thousand here; FAULT_STEPS, or the benchmark, asks for more. FAULT_SHRINK=1 looks for the
shortest order that breaks the model, which may take minutes.
"""

import os

from benchmarks.fault_machine import run_machine

SEED = int(os.environ.get("FAULT_SEED", "1"))
STEPS = int(os.environ.get("FAULT_STEPS", "2000"))
SHRINK = bool(os.environ.get("FAULT_SHRINK"))


def test_any_order_of_events_ends_as_the_model_says(named_cluster: str) -> None:
    print(f"seed {SEED}")
    assert run_machine(STEPS, SEED, shrink=SHRINK) >= STEPS
