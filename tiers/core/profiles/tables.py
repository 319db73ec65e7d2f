"""Serving profiles as tables: each model on each GPU type, layout and precision that holds it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tiers.core.profiles.calibrate import Calibration, Source
from tiers.core.profiles.hardware import BYTES_PER_WEIGHT, gpu
from tiers.core.profiles.setups import Setup
from tiers.core.profiles.shapes import shape_of

LAYOUTS = (1, 2, 4, 8)
CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# Memory that neither weights nor cache get: activations, graphs, fragmentation.
RESERVED_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Point:
    """One load of a profile; times are means, the rate is of the whole server's GPUs."""

    concurrency: int
    tpot_ms: float
    ttft_ms: float
    tokens_per_s_per_gpu: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Throughput and latency against concurrency of one model on one server layout.

    `kv_tokens` is the key-value cache beside the weights; loads that it cannot hold are left out.
    `rel_sd` is the mean standard deviation of log(tpot): about a relative error.
    """

    model: str
    gpu_type: str
    gpus: int
    precision: str
    backend: str
    input_tokens: int
    output_tokens: int
    kv_tokens: int
    points: tuple[Point, ...]
    rel_sd: float
    source: Source


def kv_tokens(model: str, gpu_type: str, gpus: int, precision: str) -> int:
    """Tokens of cache that fit beside the weights; zero when the weights do not fit."""
    shape, card = shape_of(model), gpu(gpu_type)
    free = gpus * card.memory_bytes * (1 - RESERVED_SHARE)
    free -= shape.parameters * BYTES_PER_WEIGHT[precision]
    return max(0, int(free / shape.kv_bytes_per_token))


def profiles(
    calibration: Calibration,
    *,
    models: Sequence[str],
    gpu_types: Sequence[str],
    precisions: Sequence[str] = ("bf16", "fp8"),
    backend: str = "vllm",
    lengths: tuple[int, int] = (1024, 1024),
) -> Iterator[Profile]:
    """Every combination whose memory holds the weights and one request."""
    for model in models:
        for gpu_type in gpu_types:
            for precision in precisions:
                for gpus in LAYOUTS:
                    setup = Setup(
                        model=model, gpu_type=gpu_type, backend=backend, precision=precision,
                        gpus=gpus, input_tokens=lengths[0], output_tokens=lengths[1],
                        concurrency=1, tensor_parallel=gpus,
                    )  # fmt: skip
                    if found := _profile(calibration, setup):
                        yield found


def _profile(calibration: Calibration, setup: Setup) -> Profile | None:
    held = kv_tokens(setup.model, setup.gpu_type, setup.gpus, setup.precision)
    per_request = setup.input_tokens + setup.output_tokens
    loads = [c for c in CONCURRENCIES if c * per_request <= held]
    if not loads:
        return None
    found = calibration.estimate([replace(setup, concurrency=load) for load in loads])
    # More load never makes a token faster; noise in the runs may say so.
    tpot_ms = np.maximum.accumulate([e.tpot_ms for e in found])
    return Profile(
        model=setup.model,
        gpu_type=setup.gpu_type,
        gpus=setup.gpus,
        precision=setup.precision,
        backend=setup.backend,
        input_tokens=int(setup.input_tokens),
        output_tokens=int(setup.output_tokens),
        kv_tokens=held,
        points=tuple(
            Point(load, float(tpot), e.ttft_ms, e.tokens_per_s_per_gpu)
            for load, tpot, e in zip(loads, tpot_ms, found, strict=True)
        ),
        rel_sd=sum(e.tpot_rel_sd for e in found) / len(found),
        source=found[0].source,
    )
