"""Profiles from runs whose law is known."""

from dataclasses import replace

import numpy as np
import pytest

from tests.tiers.core.profiles.runs import FACTORS, a_setup, made_runs
from tiers.core.profiles.calibrate import Calibration
from tiers.core.profiles.errors import TooFewRuns, UnknownGpuType, UnknownModel
from tiers.core.profiles.roofline import roofline
from tiers.core.profiles.setups import Run, columns, throughput
from tiers.core.profiles.shapes import shape_of
from tiers.core.profiles.tables import kv_tokens, profiles


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return Calibration.fit(made_runs())


def test_a_measured_model_is_corrected_to_its_own_level(calibration: Calibration) -> None:
    for model, factor in FACTORS.items():
        setup = a_setup(model=model, concurrency=32)
        found = calibration.estimate([setup])[0]
        assert found.tpot_ms == pytest.approx(
            roofline(columns([setup])).tpot_ms[0] * factor, rel=0.05
        )
        assert found.source == "measured"


def test_a_model_that_nobody_measured_stays_marked_and_less_certain(
    calibration: Calibration,
) -> None:
    seen, unseen = calibration.estimate([a_setup(), a_setup(model="405B", gpus=8, precision="fp8")])
    assert unseen.source == "estimated"
    assert unseen.tpot_rel_sd > 1.5 * seen.tpot_rel_sd


def test_errors_left_out_are_small_within_models_and_larger_across(
    calibration: Calibration,
) -> None:
    curve, model = calibration.leave_one_curve_out(), calibration.leave_one_model_out()
    assert curve.tpot_median_abs_rel_err < 0.04
    assert curve.throughput_median_abs_rel_err < 0.04
    assert model.tpot_median_abs_rel_err > 2 * curve.tpot_median_abs_rel_err


def test_throughput_is_littles_law() -> None:
    run = Run(a_setup(gpus=2, concurrency=10, output_tokens=101), "c", ttft_ms=500, tpot_ms=20)
    # A request takes 0.5 + 100 x 0.02 = 2.5 s; ten at once make 1010 tokens in it, on two GPUs.
    assert run.throughput == pytest.approx(202.0)
    assert throughput(np.array([500.0]), np.array([20.0]), [run.setup])[0] == run.throughput


def test_fitting_twice_gives_the_same(calibration: Calibration) -> None:
    again = Calibration.fit(made_runs())
    assert again.estimate([a_setup()]) == calibration.estimate([a_setup()])


def test_profiles_hold_what_fits_in_memory(calibration: Calibration) -> None:
    found = list(profiles(calibration, models=["70B"], gpu_types=["H100"], precisions=["bf16"]))
    # 141 GB of weights do not fit on one 80 GB card, and leave no room for a request on two.
    assert [table.gpus for table in found] == [4, 8]
    for table in found:
        loads = [point.concurrency for point in table.points]
        assert max(loads) * 2048 <= table.kv_tokens
        assert [p.tpot_ms for p in table.points] == sorted(p.tpot_ms for p in table.points)


def test_cache_beside_the_weights_by_hand() -> None:
    # 4 x 80 GB x 0.88 - 141.2 GB = 140.4 GB, at 327,680 bytes a token.
    assert kv_tokens("70B", "H100", 4, "bf16") == int(140.4e9 / 327680)
    assert kv_tokens("405B", "H100", 4, "bf16") == 0


def test_names_of_releases_are_their_family() -> None:
    assert shape_of("nvidia/Llama-3.1-8B-Instruct-FP8").family == "Llama-3.1-8B"
    assert shape_of("nvidia/DeepSeek-V3.1-NVFP4").family == "DeepSeek-V3"
    assert shape_of("7B").family == "Llama-3.1-8B"


def test_what_is_not_known_is_refused_by_name(calibration: Calibration) -> None:
    with pytest.raises(UnknownModel, match="Nobody-9B"):
        calibration.estimate([a_setup(model="Nobody-9B")])
    with pytest.raises(UnknownGpuType, match="TPU"):
        calibration.estimate([a_setup(gpu_type="TPU v5")])
    with pytest.raises(TooFewRuns, match="3 usable runs"):
        Calibration.fit(made_runs()[:3])


def test_one_curve_cannot_vouch_for_itself() -> None:
    """A curve far from all others is predicted from the others alone."""
    runs = made_runs(noise=0.0)
    odd = [replace(r, tpot_ms=r.tpot_ms * 5) if r.curve == runs[0].curve else r for r in runs]
    fitted = Calibration.fit(odd)
    places = np.unique([r.curve for r in odd], return_inverse=True)[1]
    logs = fitted.tpot.without_own_group(places)
    own = [i for i, r in enumerate(odd) if r.curve == runs[0].curve]
    assert np.exp(logs[own]).max() < 3 * FACTORS[runs[0].setup.model]
