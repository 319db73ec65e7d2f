"""Serving profiles: arithmetic corrected by measured runs.

The logarithm of measured over roofline is kriged over load, lengths, layout and the roofline's own
parts, with model, GPU type, backend and precision as categories. What was never measured falls back
to the roofline by itself as its likeness to the runs fades, and says so (`source`).

Constants of the kernel were set once by hand; the figures change by less than a tenth of themselves
between lengths of 2 and 4 and weights of 1 and 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from tiers.core.profiles.errors import TooFewRuns
from tiers.core.profiles.hardware import gpu_type_of
from tiers.core.profiles.kriging import Kernel, Kriging
from tiers.core.profiles.roofline import roofline
from tiers.core.profiles.setups import Floats, Ints, Run, Setup, columns, throughput
from tiers.core.profiles.shapes import shape_of

CATEGORIES = ("model", "gpu_type", "backend", "precision")
TPOT_KERNEL = Kernel(weights=(1.5, 0.75, 0.75, 0.75), shared=(0.1, 0.05, 0.05, 0.0))
TTFT_KERNEL = Kernel(weights=(1.5, 0.75, 0.75, 0.75), shared=(0.1, 0.05, 0.05, 0.0), noise=0.06)
MIN_RUNS = 10
Source = Literal["measured", "estimated"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Means of one setup; `*_rel_sd` is the standard deviation of the logarithm.

    `source` is `measured` where runs of that model on that GPU type were seen.
    """

    tpot_ms: float
    ttft_ms: float
    tokens_per_s_per_gpu: float
    tpot_rel_sd: float
    ttft_rel_sd: float
    source: Source


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Median absolute relative error of predictions made without the run's own group."""

    tpot_median_abs_rel_err: float
    throughput_median_abs_rel_err: float
    ttft_median_abs_rel_err: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Runs and the two corrections fitted to them."""

    runs: tuple[Run, ...]
    codes: dict[tuple[int, str], int]
    tpot: Kriging
    ttft: Kriging

    @classmethod
    def fit(cls, runs: Sequence[Run]) -> Self:
        """Fit both corrections; deterministic.

        Raises:
            TooFewRuns: there are fewer than ten.
            UnknownModel, UnknownGpuType: a run names one that is not known.
        """
        if len(runs) < MIN_RUNS:
            raise TooFewRuns(len(runs), MIN_RUNS)
        setups = [r.setup for r in runs]
        names = sorted({(j, name) for s in setups for j, name in enumerate(_names(s))})
        codes = {name: code for code, name in enumerate(names)}
        numbers, kinds = _numbers(setups), _kinds(setups, codes)
        base = roofline(columns(setups))
        return cls(
            runs=tuple(runs),
            codes=codes,
            tpot=Kriging.fit(
                TPOT_KERNEL, numbers, kinds, np.log([r.tpot_ms for r in runs] / base.tpot_ms)
            ),
            ttft=Kriging.fit(
                TTFT_KERNEL, numbers, kinds, np.log([r.ttft_ms for r in runs] / base.ttft_ms)
            ),
        )

    def estimate(self, setups: Sequence[Setup]) -> list[Estimate]:
        """What each setup would do.

        Raises:
            UnknownModel, UnknownGpuType: a setup names one that is not known.
        """
        numbers, kinds, base = (
            _numbers(setups),
            _kinds(setups, self.codes),
            roofline(columns(setups)),
        )
        tpot_log, tpot_sd = self.tpot.predict(numbers, kinds)
        ttft_log, ttft_sd = self.ttft.predict(numbers, kinds)
        tpot_ms, ttft_ms = base.tpot_ms * np.exp(tpot_log), base.ttft_ms * np.exp(ttft_log)
        rates = throughput(ttft_ms, tpot_ms, setups)
        seen = {_names(r.setup)[:2] for r in self.runs}
        return [
            Estimate(
                tpot_ms=float(tpot_ms[i]),
                ttft_ms=float(ttft_ms[i]),
                tokens_per_s_per_gpu=float(rates[i]),
                tpot_rel_sd=float(tpot_sd[i]),
                ttft_rel_sd=float(ttft_sd[i]),
                source="measured" if _names(setup)[:2] in seen else "estimated",
            )
            for i, setup in enumerate(setups)
        ]

    def leave_one_curve_out(self) -> LeftOut:
        return self._left_out([r.curve for r in self.runs])

    def leave_one_model_out(self) -> LeftOut:
        return self._left_out([shape_of(r.setup.model).family for r in self.runs])

    def _left_out(self, groups: Sequence[str]) -> LeftOut:
        setups = [r.setup for r in self.runs]
        _, places = np.unique(groups, return_inverse=True)
        base = roofline(columns(setups))
        tpot_ms = base.tpot_ms * np.exp(self.tpot.without_own_group(places))
        ttft_ms = base.ttft_ms * np.exp(self.ttft.without_own_group(places))
        true_tpot, true_ttft = (np.array([getattr(r, n) for r in self.runs]) for n in _TIMES)
        return LeftOut(
            tpot_median_abs_rel_err=_median_error(tpot_ms, true_tpot),
            throughput_median_abs_rel_err=_median_error(
                throughput(ttft_ms, tpot_ms, setups), throughput(true_ttft, true_tpot, setups)
            ),
            ttft_median_abs_rel_err=_median_error(ttft_ms, true_ttft),
        )


_TIMES = ("tpot_ms", "ttft_ms")


def _median_error(predicted: Floats, measured: Floats) -> float:
    return float(np.median(np.abs(predicted / measured - 1)))


def _numbers(setups: Sequence[Setup]) -> Floats:
    """Logarithms `(n, 10)` of load, layout, lengths and the roofline's parts."""
    c = columns(setups)
    base = roofline(c)
    return np.log(
        np.column_stack(
            [
                c.concurrency, c.gpus, c.input_tokens, c.output_tokens, c.tensor_parallel,
                c.data_parallel, c.expert_parallel, base.weights_ms, base.cache_ms, base.prompt_ms,
            ]
        )
    )  # fmt: skip


def _names(setup: Setup) -> tuple[str, str, str, str]:
    family, gpu_type = shape_of(setup.model).family, gpu_type_of(setup.gpu_type)
    return family, gpu_type, setup.backend, setup.precision


def _kinds(setups: Sequence[Setup], codes: dict[tuple[int, str], int]) -> Ints:
    """Codes `(n, 4)`; -1 where no run was of that name, which equals no other."""
    return np.array(
        [[codes.get((j, name), -1) for j, name in enumerate(_names(s))] for s in setups],
        dtype=np.int64,
    )
