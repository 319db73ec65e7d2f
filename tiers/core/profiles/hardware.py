"""What a GPU type can do, from its vendor's data sheet: dense rates, no sparsity."""

from dataclasses import dataclass

from tiers.core.profiles.errors import UnknownGpuType


@dataclass(frozen=True, slots=True)
class Gpu:
    """Memory in bytes and bytes/s; dense arithmetic in operations/s by precision."""

    memory_bytes: float
    bytes_per_s: float
    bf16_flops: float
    fp8_flops: float
    fp4_flops: float

    def flops(self, precision: str) -> float:
        """Rate of matrix products. int4 weights are multiplied as bf16 (weight-only)."""
        return {"fp8": self.fp8_flops, "fp4": self.fp4_flops}.get(precision, self.bf16_flops)


# NVIDIA data sheets A100 (2021), H100 and H200 (2023, 2024), Blackwell and Blackwell Ultra (2025).
# The A100 has neither fp8 nor fp4, Hopper no fp4: there such weights run at the next wider rate.
GPUS: dict[str, Gpu] = {
    "A100": Gpu(80e9, 2.04e12, 312e12, 312e12, 312e12),
    "H100": Gpu(80e9, 3.35e12, 989e12, 1979e12, 1979e12),
    "H200": Gpu(141e9, 4.8e12, 989e12, 1979e12, 1979e12),
    "B200": Gpu(180e9, 8.0e12, 2250e12, 4500e12, 9000e12),
    "B300": Gpu(288e9, 8.0e12, 2250e12, 4500e12, 14000e12),
    "GB200": Gpu(186e9, 8.0e12, 2500e12, 5000e12, 10000e12),
    "GB300": Gpu(288e9, 8.0e12, 2500e12, 5000e12, 15000e12),
}

BYTES_PER_WEIGHT: dict[str, float] = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.56, "int4": 0.56}


def gpu_type_of(name: str) -> str:
    """`h100_sxm`, `NVIDIA H100 80GB HBM3`, `H100` -> `H100`.

    Raises:
        UnknownGpuType: no known type is named.
    """
    words = name.upper().replace("_", " ").replace("-", " ").split()
    for word in words:
        if word in GPUS:
            return word
    raise UnknownGpuType(name)


def gpu(gpu_type: str) -> Gpu:
    """The GPU of a type.

    Raises:
        UnknownGpuType: there is none.
    """
    return GPUS[gpu_type_of(gpu_type)]
