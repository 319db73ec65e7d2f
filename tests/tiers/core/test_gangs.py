"""Waiting gangs: whole or not at all, and the cheapest stops against trying every set."""

import itertools
from math import ceil

import numpy as np
import pytest

from tests.tiers.core.snapshots import random_snapshot, small_snapshot
from tiers.core.errors import SnapshotInvalid
from tiers.core.gangs import gang_starts
from tiers.core.snapshot import Snapshot

POOL = "r/H100/reserved"
GANG = {"id": "g", "workload": "training", "region": "r", "groups": 2}


def waiting(**changes: object) -> Snapshot:
    """Three nodes of four GPUs: four groups of chat (two GPUs each) hold two of them."""
    current = [{"pool": POOL, "workload": "chat", "groups": 4}]
    return small_snapshot(**({"current": current, "gangs": [GANG]} | changes))


def test_a_gang_starts_whole_or_not_and_the_stops_that_would_start_it_are_named():
    held = {(POOL, "chat"): 4}
    (start,) = gang_starts(waiting(), [held, held])
    assert start.step is None  # one node is free, the gang takes two
    assert start.stops == (("chat", 2),)
    # Draining two groups, their lost half GPU-hour each, and loading eight GPUs, at 3 USD.
    assert start.usd == pytest.approx((2 * (300 / 3600 * 2 + 0.5) + 8 * 300 / 3600) * 3)
    assert "stopping 2 of chat on r/H100/reserved would start it now" in start.words(0.5)


def test_a_known_age_of_the_checkpoint_is_the_work_that_is_lost():
    held = {(POOL, "chat"): 4}
    aged = [{"pool": POOL, "workload": "chat", "age_s": 7200}]
    (start,) = gang_starts(waiting(checkpoints=aged), [held, held])
    assert start.usd == pytest.approx((2 * (300 / 3600 * 2 + 4.0) + 8 * 300 / 3600) * 3)


def test_room_that_comes_later_and_room_now():
    full, later = {(POOL, "chat"): 4}, {(POOL, "chat"): 2}
    (start,) = gang_starts(waiting(), [full, later])
    assert start.step == 1
    (start,) = gang_starts(waiting(), [later, later])
    assert (start.step, start.pool, start.stops) == (0, POOL, ())
    # A second gang finds the room of the first one taken.
    both = [GANG, GANG | {"id": "h"}]
    first, second = gang_starts(waiting(gangs=both), [later, later])
    assert (first.step, second.step) == (0, None)


def test_floors_are_no_victims():
    workloads = [w.model_dump() for w in small_snapshot().workloads]
    workloads[0]["floor_groups"] = 3
    (start,) = gang_starts(waiting(workloads=workloads), [{(POOL, "chat"): 4}] * 2)
    assert start.usd is None
    assert "no set of stops above the floors" in start.words(0.5)


def test_an_unknown_workload_is_refused_with_its_gang():
    with pytest.raises((SnapshotInvalid, ValueError), match=r"gangs\[g\]"):
        waiting(gangs=[GANG | {"workload": "nobody"}])


@pytest.mark.parametrize("seed", range(40))
def test_the_cheapest_stops_are_those_of_trying_every_set(seed):
    rng = np.random.default_rng(seed)
    base = random_snapshot(seed)
    aged = [{"pool": "r/reserved", "workload": "big", "age_s": float(rng.uniform(0, 9000))}]
    gang = {"id": "g", "workload": "training", "region": "r", "groups": int(rng.integers(1, 4))}
    pools = [p.model_dump() | {"gpus": 6} for p in base.pools]
    standing = [{"pool": "r/spot", "workload": "training", "groups": 3}]
    snapshot = Snapshot.model_validate(
        base.model_dump(mode="json", by_alias=True)
        | {"pools": pools, "gangs": [gang], "checkpoints": aged, "current": standing}
    )
    held = {
        ("r/reserved", "chat"): int(rng.integers(0, 3)),
        ("r/reserved", "big"): int(rng.integers(0, 3)),
        ("r/spot", "training"): 3,  # the other pool is full of what may not be stopped for it
    }
    held = {key: n for key, n in held.items() if n}
    (start,) = gang_starts(snapshot, [held])
    expected = _by_trying(snapshot, held, gang["groups"], aged[0]["age_s"])
    if start.step == 0:
        assert expected[0] == 0
    else:
        assert start.usd == (None if expected is None else pytest.approx(expected[1]))


def _by_trying(snapshot, held, groups, age_s):
    """(stops, USD) of the cheapest set in the reserved pool, or None."""
    size = {"chat": 1, "big": 2}
    floors = {w.id: w.floor_groups for w in snapshot.workloads}
    loss = {"chat": 0.5, "big": age_s / 3600 * 2}
    best = None
    able = {v: max(0, held.get(("r/reserved", v), 0) - floors[v]) for v in size}
    for counts in itertools.product(*(range(able[v] + 1) for v in size)):
        stops = dict(zip(size, counts, strict=True))
        left = sum(k * (held.get(("r/reserved", v), 0) - stops[v]) for v, k in size.items())
        if 6 - 2 * ceil(left / 2) < groups * 2:
            continue
        usd = 3.0 * sum(n * (300 / 3600 * size[v] + loss[v]) for v, n in stops.items())
        usd += 3.0 * groups * 2 * 300 / 3600
        found = (sum(counts), usd)
        best = found if best is None else min(best, found, key=lambda f: f[1])
    return best
