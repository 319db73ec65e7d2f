"""Training in simulation: a worked example, conservation, checkpoints against Daly's formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiers.core.simulate.checkpoints import (
    best_interval_s,
    expected_seconds,
    progress_after,
    seconds_to_finish,
)
from tiers.core.simulate.errors import NoSuchGang, NotAscending
from tiers.core.simulate.gangs import Job, Outage, TrainingCosts
from tiers.core.simulate.training import random_outages, simulate_training

COSTS = TrainingCosts(load_s=10.0, checkpoint_every_s=100.0, checkpoint_s=5.0)


def test_progress_counts_cycles_and_what_is_at_risk():
    at = progress_after(350.0, every_s=100.0, pause_s=5.0)
    # Three whole cycles of 105 s, then 35 s of work.
    assert (at.worked_s, at.kept_s, at.paused_s, at.at_risk_s) == (335.0, 300.0, 15.0, 35.0)
    pausing = progress_after(103.0, every_s=100.0, pause_s=5.0)
    # The checkpoint is being written: nothing is kept yet.
    assert (pausing.worked_s, pausing.kept_s, pausing.paused_s) == (100.0, 0.0, 3.0)


@given(
    work_s=st.floats(1.0, 1e5), every_s=st.floats(10.0, 1e4), pause_s=st.sampled_from([0.0, 7.0])
)
def test_a_run_has_done_its_work_when_it_is_finished(work_s, every_s, pause_s):
    elapsed = seconds_to_finish(work_s, every_s=every_s, pause_s=pause_s)
    done = progress_after(elapsed, every_s=every_s, pause_s=pause_s)
    assert done.worked_s == pytest.approx(work_s)
    assert done.worked_s + done.paused_s == pytest.approx(elapsed)


def test_an_example_done_by_hand():
    """Blocks of 2 and 3 nodes; a job loads 10 s, works 100 s between pauses of 5 s.

    A (2 nodes, 250 s) takes block 0, which it fills; B (3 nodes, 120 s) block 1. C (2 nodes, 50 s)
    comes at 20 and waits. A runs 10 + 250 + 2 x 5 to 270; B would run 10 + 120 + 5 to 145, but its
    node 3 is away from 130 to 200: B has worked 115 s, 100 are kept, 15 lost. B waits by its
    arrival before C: three nodes it has not before 200, so nobody starts. At 200 B starts again
    with 20 s left, to 230; C takes its nodes 2 and 3 at 230, to 290.
    """
    jobs = [Job(0.0, 1, 2, 250.0), Job(0.0, 2, 3, 120.0), Job(20.0, 3, 2, 50.0)]
    fleet = simulate_training([2, 3], COSTS, jobs, until_s=300.0, outages=[Outage(3, 130.0, 200.0)])
    a, b, c = (fleet.gangs[i] for i in (1, 2, 3))
    assert [x.finished_s for x in (a, b, c)] == [270.0, 230.0, 290.0]
    assert [x.nodes for x in a.attempts] == [(0, 1)]
    first, second = b.attempts
    assert (first.ended_s, first.kept_s, first.lost_s, first.ending) == (
        130.0,
        100.0,
        15.0,
        "failed",
    )
    assert (second.started_s, second.kept_s, second.nodes) == (200.0, 20.0, (2, 3, 4))
    assert (c.attempts[0].started_s, c.attempts[0].nodes) == (230.0, (2, 3))
    spent = fleet.node_seconds()
    assert spent.useful == 2 * 250.0 + 3 * 120.0 + 2 * 50.0
    assert spent.lost == 3 * 15.0
    assert spent.loading == 10.0 * (2 + 3 + 3 + 2)
    assert spent.checkpointing == 2 * 10.0 + 3 * 5.0
    assert spent.down == 70.0
    # Block 0 from 270; nodes 2 and 4 from 130 to 200; node 4 from 230, nodes 2 and 3 from 290.
    assert spent.idle == 2 * 30.0 + 2 * 70.0 + 70.0 + 2 * 10.0
    assert spent.total == 5 * 300.0


def test_a_gang_that_must_stay_in_one_block_waits_for_it():
    jobs = [Job(0.0, 1, 1, 100.0), Job(0.0, 2, 1, 200.0), Job(1.0, 3, 2, 10.0)]
    spread = simulate_training([2, 2], COSTS, jobs, until_s=400.0)
    assert spread.gangs[3].attempts[0].nodes == (2, 3)
    three = [*jobs[:2], Job(1.0, 3, 3, 10.0)]
    costs = TrainingCosts(10.0, 100.0, 5.0, one_block=True)
    assert simulate_training([2, 2], costs, three, until_s=400.0).waiting == [three[2]]
    whole = simulate_training([2, 2], COSTS, three, until_s=400.0)
    assert whole.gangs[3].attempts[0].started_s == 110.0


def test_an_elastic_gang_starts_smaller_and_works_in_proportion():
    jobs = [Job(0.0, 1, 1, 500.0), Job(0.0, 2, 4, 60.0, min_nodes=2)]
    fleet = simulate_training([4], COSTS, jobs, until_s=600.0)
    assert fleet.gangs[2].attempts[0].nodes == (1, 2, 3)
    assert fleet.gangs[2].finished_s == pytest.approx(10.0 + 60.0 * 4 / 3)
    assert fleet.gangs[2].kept_s == pytest.approx(60.0)


def test_a_preempted_gang_keeps_its_checkpoint_and_its_place_in_the_queue():
    jobs = [Job(0.0, 1, 2, 300.0), Job(5.0, 2, 2, 100.0)]
    fleet = simulate_training([2], COSTS, jobs, until_s=120.0, preemptions=[(120.0, 1)])
    # 110 s after loading: 100 kept, the rest of the cycle was the pause and 5 s of work.
    assert fleet.gangs[1].attempts[0].kept_s == 100.0
    assert fleet.gangs[1].attempts[0].lost_s == 5.0
    assert fleet.gangs[1].nodes == (0, 1)
    assert fleet.waiting == [jobs[1]]
    with pytest.raises(NoSuchGang):
        fleet.preempt(2)
    with pytest.raises(NotAscending):
        fleet.advance(1.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    blocks=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    one_block=st.booleans(),
    pause_s=st.sampled_from([0.0, 12.0]),
)
def test_node_seconds_and_work_are_conserved(seed, blocks, one_block, pause_s):
    rng = np.random.default_rng(seed)
    total, until = sum(blocks), 20_000.0
    costs = TrainingCosts(60.0, 600.0, pause_s, one_block=one_block)
    jobs = [
        Job(float(at), i, int(rng.integers(1, max(blocks) + 1)), float(rng.exponential(2000.0)),
            min_nodes=1 if rng.random() < 0.3 else None)
        for i, at in enumerate(np.sort(rng.uniform(0.0, until, 30)))
    ]  # fmt: skip
    outages = random_outages(rng, total, mtbf_s=8000.0, repair_s=900.0, until_s=until)
    preemptions = [(float(at), int(rng.integers(30))) for at in rng.uniform(0.0, until, 10)]
    runs = [
        simulate_training(blocks, costs, jobs, until_s=until, outages=outages,
                          preemptions=preemptions)
        for _ in range(2)
    ]  # fmt: skip
    fleet = runs[0]
    assert fleet.node_seconds().total == pytest.approx(total * until)
    assert runs[1].node_seconds() == fleet.node_seconds()
    assert [g.attempts for g in runs[1].gangs.values()] == [
        g.attempts for g in fleet.gangs.values()
    ]
    assert len(fleet.gangs) == len(jobs)
    for gang in fleet.gangs.values():
        states = (gang.finished_s is not None, bool(gang.nodes), gang.job in fleet.waiting)
        assert sum(states) == 1
        if gang.finished_s is not None:
            assert gang.kept_s == pytest.approx(gang.job.work_s)
    held = sum(len(g.nodes) for g in fleet.gangs.values())
    assert held == fleet.running_nodes


def test_time_under_failures_follows_daly_and_is_least_at_youngs_interval():
    nodes, work_s, mtbf_s, pause_s, load_s = 4, 5e5, 40_000.0, 60.0, 120.0
    best = best_interval_s(pause_s, mtbf_s / nodes)
    found = {}
    for every_s in (best / 4, best, 4 * best):
        ends = []
        for seed in range(12):
            rng = np.random.default_rng(seed)
            # Spare nodes: a gang that loses one starts again at once.
            outages = random_outages(rng, 12, mtbf_s=mtbf_s, repair_s=600.0, until_s=4e6)
            fleet = simulate_training([12], TrainingCosts(load_s, every_s, pause_s),
                                      [Job(0.0, 1, nodes, work_s)], until_s=4e6,
                                      outages=outages)  # fmt: skip
            ends.append(fleet.gangs[1].finished_s)
        expected = expected_seconds(work_s, every_s=every_s, pause_s=pause_s, load_s=load_s,
                                    mtbf_s=mtbf_s / nodes)  # fmt: skip
        assert np.mean(ends) == pytest.approx(expected, rel=0.03)
        found[every_s] = np.mean(ends)
    assert found[best] == min(found.values())
