"""The contract list: every reserved GPU against one line, differences in words."""

from datetime import UTC, datetime, timedelta

from tiers.core.contract import PoolSeen, Reserved, contract_lines, gpus_not_started

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def reserved(name: str, gpus: int, *, starts: int = -1, ends: int = 30, **scope: str) -> Reserved:
    return Reserved(name, NOW + starts * DAY, NOW + ends * DAY, gpus, **scope)


POOLS = [
    PoolSeen("fra/H100", "fra", "H100", "reserved", 64),
    PoolSeen("fra/A100", "fra", "A100", "reserved", 40),
    PoolSeen("osl/H100", "osl", "H100", "reserved", 16),
    PoolSeen("fra/spot", "fra", "H100", "spot", 8),
]


def test_the_narrowest_scope_takes_its_pools_first_and_none_is_counted_twice():
    lines = contract_lines(
        [reserved("all-fra", 40, cluster="fra"), reserved("h", 64, pool="fra/H100")],
        POOLS, now=NOW,
    )  # fmt: skip
    assert [(line.scope, line.contracted, line.seen, line.words) for line in lines] == [
        ("pool fra/H100", 64, 64, ""),
        ("fra", 40, 40, ""),
        ("pools osl/H100", 0, 16, "no reservation names them"),
    ]
    assert sum(line.seen for line in lines) == 64 + 40 + 16


def test_what_is_paid_for_and_not_seen_is_named():
    (line, *_) = contract_lines([reserved("h", 72, pool="fra/H100")], POOLS, now=NOW)
    assert line.difference == -8
    assert line.words == "8 GPUs of h are paid for and not seen"


def test_what_ended_counts_no_more_and_what_starts_later_not_yet():
    rows = [
        reserved("old", 64, ends=-1, starts=-9, pool="fra/H100"),
        reserved("next", 32, starts=2, pool="fra/H100"),
    ]
    (line, *_) = contract_lines(rows, POOLS, now=NOW)
    assert (line.contracted, line.later) == (0, 32)
    assert "64 GPUs are seen that no running reservation covers" in line.words
    assert gpus_not_started(rows, now=NOW) == 32


def test_without_a_contract_list_nothing_is_held_against_it():
    assert contract_lines([], POOLS, now=NOW) == []


def test_a_cluster_never_read_is_unknown_not_missing():
    pools = [PoolSeen("fra/H100", "fra", "H100", "reserved", None)]
    (line,) = contract_lines([reserved("h", 8, cluster="fra")], pools, now=NOW)
    assert line.seen is None
    assert line.difference is None
    assert "unknown" in line.words
