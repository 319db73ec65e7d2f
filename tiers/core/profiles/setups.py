"""What was served and how: one setup is a point of load on one server."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiers.core.profiles.hardware import BYTES_PER_WEIGHT, gpu
from tiers.core.profiles.shapes import shape_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Setup:
    """One server at one number of simultaneous requests of fixed lengths."""

    model: str
    gpu_type: str
    backend: str
    precision: str
    gpus: int
    input_tokens: float
    output_tokens: float
    concurrency: float
    tensor_parallel: float = 1.0
    data_parallel: float = 1.0
    expert_parallel: float = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """A measured setup: means over its requests. `curve` names runs that differ in load alone."""

    setup: Setup
    curve: str
    ttft_ms: float
    tpot_ms: float

    @property
    def throughput(self) -> float:
        """Output tokens/s per GPU of a closed loop, by Little's law."""
        return float(
            throughput(np.array([self.ttft_ms]), np.array([self.tpot_ms]), [self.setup])[0]
        )


def throughput(ttft_ms: Floats, tpot_ms: Floats, setups: Sequence[Setup]) -> Floats:
    """Output tokens/s per GPU `(n,)`: concurrency x output / time of a request / gpus.

    A request takes ttft + (output - 1) x tpot.
    """
    concurrency = np.array([s.concurrency for s in setups])
    output = np.array([s.output_tokens for s in setups])
    gpus = np.array([float(s.gpus) for s in setups])
    whole_ms = ttft_ms + (output - 1) * tpot_ms
    return np.asarray(1000.0 * concurrency * output / whole_ms / gpus)


@dataclass(frozen=True, slots=True)
class Columns:
    """Setups as arrays `(n,)`; bytes/s and flops are those of all GPUs of the server together."""

    concurrency: Floats
    gpus: Floats
    input_tokens: Floats
    output_tokens: Floats
    tensor_parallel: Floats
    data_parallel: Floats
    expert_parallel: Floats
    parameters: Floats
    active: Floats
    layers: Floats
    kv_bytes: Floats
    weight_bytes: Floats
    bytes_per_s: Floats
    flops: Floats


def columns(setups: Sequence[Setup]) -> Columns:
    """Setups beside the facts of their model and GPU.

    Raises:
        UnknownModel, UnknownGpuType: a setup names one that is not known.
    """
    shapes = [shape_of(s.model) for s in setups]
    cards = [gpu(s.gpu_type) for s in setups]

    def of(values: list[float]) -> Floats:
        return np.array(values, dtype=np.float64)

    return Columns(
        concurrency=of([s.concurrency for s in setups]),
        gpus=of([s.gpus for s in setups]),
        input_tokens=of([s.input_tokens for s in setups]),
        output_tokens=of([s.output_tokens for s in setups]),
        tensor_parallel=of([s.tensor_parallel for s in setups]),
        data_parallel=of([s.data_parallel for s in setups]),
        expert_parallel=of([s.expert_parallel for s in setups]),
        parameters=of([m.parameters for m in shapes]),
        active=of([m.active for m in shapes]),
        layers=of([m.layers for m in shapes]),
        kv_bytes=of([m.kv_bytes_per_token for m in shapes]),
        weight_bytes=of([BYTES_PER_WEIGHT[s.precision] for s in setups]),
        bytes_per_s=of([s.gpus * c.bytes_per_s for s, c in zip(setups, cards, strict=True)]),
        flops=of([s.gpus * c.flops(s.precision) for s, c in zip(setups, cards, strict=True)]),
    )
