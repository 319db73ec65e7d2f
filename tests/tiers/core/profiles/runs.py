"""Runs made from the roofline by a known law, so that what should be found is known."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from tiers.core.profiles.roofline import roofline
from tiers.core.profiles.setups import Run, Setup, columns

FACTORS = {"Llama-3.1-8B": 1.2, "Qwen3-32B": 0.9, "Llama-3.1-70B": 1.1}


def made_runs(*, noise: float = 0.02, seed: int = 1) -> list[Run]:
    """Three models x two GPU types x two layouts, six loads each."""
    random = np.random.default_rng(seed)
    return [
        Run(
            setup,
            curve=f"{setup.model}/{setup.gpu_type}/{setup.gpus}",
            ttft_ms=float(base.ttft_ms[0] * FACTORS[setup.model] * np.exp(noise * random.normal())),
            tpot_ms=float(base.tpot_ms[0] * FACTORS[setup.model] * np.exp(noise * random.normal())),
        )
        for setup in _setups()
        for base in [roofline(columns([setup]))]
    ]


def a_setup(**changes: object) -> Setup:
    given = {
        "model": "Llama-3.1-8B", "gpu_type": "H100", "backend": "vllm", "precision": "bf16",
        "gpus": 4, "input_tokens": 1024, "output_tokens": 256, "concurrency": 16,
        "tensor_parallel": 4,
    }  # fmt: skip
    return Setup(**(given | changes))  # type: ignore[arg-type]


def _setups() -> Iterator[Setup]:
    for model, gpu_type, gpus, load in product(
        FACTORS, ("H100", "H200"), (4, 8), (1, 4, 16, 64, 128, 256)
    ):
        yield a_setup(
            model=model, gpu_type=gpu_type, gpus=gpus, concurrency=load, tensor_parallel=gpus
        )
