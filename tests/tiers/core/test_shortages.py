"""What runs short: first moment, by how much, on which word; nothing where supply is enough."""

from datetime import UTC, datetime, timedelta

from tiers.core.shortages import (
    FORECAST_LIKELY,
    FORECAST_POSSIBLE,
    LAST_WEEK,
    Need,
    SupplyChange,
    shortages,
    together,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def test_the_first_moment_and_the_most_that_is_lacking():
    needs = [Need(at(h), g, FORECAST_LIKELY) for h, g in ((1, 60), (2, 65.2), (3, 80), (4, 70))]
    (short,) = shortages("fra", "inference", needs, 64)
    assert (short.at, short.first_gpus, short.most_gpus) == (at(2), 2, 16)


def test_a_possible_shortage_stands_beside_a_later_likely_one_but_not_beside_its_equal():
    needs = [Need(at(1), 70, FORECAST_POSSIBLE), Need(at(2), 70, FORECAST_LIKELY)]
    assert [s.basis for s in shortages("fra", "t", needs, 64)] == [
        FORECAST_POSSIBLE, FORECAST_LIKELY,
    ]  # fmt: skip
    same = [Need(at(1), 70, FORECAST_POSSIBLE), Need(at(1), 66, FORECAST_LIKELY)]
    assert [s.basis for s in shortages("fra", "t", same, 64)] == [FORECAST_LIKELY]


def test_a_reservation_that_ends_makes_the_cluster_short_from_then_on():
    needs = [Need(at(h), 100, LAST_WEEK) for h in (5, 6, 7)]
    ends = [SupplyChange(at(6), "fra", -64, "reservation r ends")]
    (short,) = shortages("fra", "", needs, 128, ends)
    assert (short.at, short.first_gpus, short.basis) == (at(6), 36, LAST_WEEK)


def test_tiers_are_added_only_where_all_are_known():
    parts = {
        "inference": [Need(at(1), 10, LAST_WEEK), Need(at(2), 11, LAST_WEEK)],
        "training": [Need(at(2), 5, LAST_WEEK)],
    }
    assert together(parts) == [Need(at(2), 16, LAST_WEEK)]
