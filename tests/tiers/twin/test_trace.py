"""Demand from recorded traces."""

import gzip

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tiers.twin.errors import TraceInvalid
from tiers.twin.load_test import UNITS_PER_GROUP
from tiers.twin.profile import INFERENCE, REGION_IDS, REGIONS, initial_groups
from tiers.twin.trace import load_trace

DAY = np.arange(0.0, 86_400.0, 600.0)


def write_csv(path, rows, columns=("model", "t_s", "rate_rps")):
    text = ",".join(columns) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def two_groups(days=2):
    steps = int(days * 144)
    for i in range(steps):
        yield "big", i * 600, 100 + 50 * np.sin(2 * np.pi * i / 144)
        yield "small", i * 600, 0 if i == 7 else 10 + i % 3


def capacity_rps(model):
    workload = next(w for w in INFERENCE if w.id == model)
    return sum(initial_groups(r, workload) for r in REGION_IDS) * UNITS_PER_GROUP[model]


@pytest.mark.parametrize("name", ["trace.csv", "trace.csv.gz"])
def test_unknown_models_are_dealt_by_volume_and_scaled_to_sixty_percent(tmp_path, name):
    demand = load_trace(write_csv(tmp_path / name, two_groups()))
    assert demand.table["chat-7b"] == ("big",)
    assert demand.table["chat-13b"] == ("small",)
    for workload in INFERENCE:
        total = sum(demand.rate_rps(r, workload.id, DAY) for r in workload.regions)
        assert total.mean() == pytest.approx(0.6 * capacity_rps(workload.id), rel=0.02)
    assert any("chat-7b follows big x" in note for note in demand.notes)


def test_a_gap_is_bridged_and_told_never_zero(tmp_path):
    demand = load_trace(write_csv(tmp_path / "trace.csv", two_groups()))
    assert demand.curves["", "small"].gaps == 1
    assert demand.curves["", "small"].rates_rps[7] == pytest.approx((10.0 + 12.0) / 2)
    assert any("small: 1 windows without any client are gaps" in note for note in demand.notes)


def test_a_short_trace_repeats_and_says_so(tmp_path):
    demand = load_trace(write_csv(tmp_path / "trace.csv", two_groups(days=2.5)))
    one, two = (demand.rate_rps("uksouth", "chat-7b", DAY + d * 86_400) for d in (0, 2))
    assert np.array_equal(one, two)
    assert any("big repeats every 2 days: history repeats itself" in n for n in demand.notes)


def test_a_trace_without_regions_runs_on_local_time(tmp_path):
    demand = load_trace(write_csv(tmp_path / "trace.csv", two_groups()))
    offset = next(r.utc_offset_hours for r in REGIONS if r.id == "japaneast") * 3600.0
    japan = demand.rate_rps("japaneast", "chat-7b", DAY - offset)
    london = demand.rate_rps("uksouth", "chat-7b", DAY)
    assert japan / japan.mean() == pytest.approx(london / london.mean())


def test_a_trace_with_regions_is_taken_at_its_word(tmp_path):
    rows = [("eastus", "chat-7b", i * 600, 5 + i % 2) for i in range(144)]
    rows += [("uksouth", "chat-7b", i * 600, 1) for i in range(144)]
    columns = ("region", "model", "t_s", "rate_rps")
    demand = load_trace(write_csv(tmp_path / "trace.csv", rows, columns))
    assert not demand.rate_rps("japaneast", "chat-7b", DAY).any()
    east, london = (demand.rate_rps(r, "chat-7b", DAY).mean() for r in ("eastus", "uksouth"))
    assert east == pytest.approx(5.5 * london, rel=0.01)


def test_parquet_with_iso_times_and_offsets(tmp_path):
    stamps = [f"2026-11-24T{h:02d}:00:00+02:00" for h in range(24)]
    table = pa.table({"time": stamps, "model": ["chat-70b"] * 24, "rate_rps": range(1, 25)})
    parquet.write_table(table, tmp_path / "trace.parquet")
    demand = load_trace(tmp_path / "trace.parquet")
    curve = demand.curves["", "chat-70b"]
    assert curve.origin_s == np.datetime64("2026-11-23T22:00:00").astype("datetime64[s]").astype(
        float
    )
    assert curve.step_s == 3600.0


@pytest.mark.parametrize(
    ("columns", "rows", "says"),
    [
        (("model", "t_s"), [("a", 0)], "has no column rate_rps"),
        (("model", "t_s", "rate_rps"), [("a", 0, 0), ("a", 600, 0)], "has no rate above zero"),
        (("model", "t_s", "rate_rps"), [("a", 0, -1), ("a", 600, 1)], "holds a negative value"),
        (("model", "t_s", "rate_rps"), [("a", 0, 1)], "group a has a single row"),
        (("model", "t_s", "rate_rps"), [("a", "x", 1), ("a", "y", 2)], "holds something"),
        (("model", "time", "rate_rps"), [("a", "soon", 1), ("a", "later", 2)], "not ISO 8601"),
        (
            ("region", "model", "t_s", "rate_rps"),
            [("atlantis", "a", 0, 1), ("atlantis", "a", 600, 1)],
            "unknown regions atlantis",
        ),
    ],
)
def test_a_bad_trace_says_what_is_wrong(tmp_path, columns, rows, says):
    with pytest.raises(TraceInvalid, match=says):
        load_trace(write_csv(tmp_path / "trace.csv", rows, columns))


def test_a_missing_trace_is_a_named_error(tmp_path):
    with pytest.raises(TraceInvalid, match="cannot be read"):
        load_trace(tmp_path / "none.csv")
