"""Recall counts equals once, its bound is cautious, and a ratio carries its interval."""

import numpy as np
import pytest

from fabric.core.measures import ndcg_at, ratio_interval, recall_at, recall_lower


def test_another_document_as_near_as_the_last_is_a_hit():
    assert recall_at(3, [0.1, 0.2, 0.3], [0.1, 0.2, 0.3]) == 1
    assert recall_at(3, [0.1, 0.3, 0.3], [0.1, 0.3, 0.3, 0.3]) == 1
    assert recall_at(3, [0.1, 0.2, 0.4], [0.1, 0.2, 0.3]) == pytest.approx(2 / 3)


def test_a_scope_with_fewer_documents_than_k_can_be_answered_in_full():
    assert recall_at(10, [0.1, 0.2], [0.1, 0.2]) == 1
    assert recall_at(10, [], []) is None


def test_the_bound_is_clopper_pearsons_on_the_effective_sample():
    # no miss in 200 queries of 10: effective 1000 of 1000, so 0.05 ** (1 / 1000)
    assert recall_lower([1.0] * 200, 10) == pytest.approx(0.05 ** (1 / 1000))
    assert recall_lower([], 10) is None
    assert recall_lower([0.0] * 5, 10) == 0


def test_misses_that_come_together_tell_less_than_the_same_misses_spread():
    spread = [0.9] * 50 + [1.0] * 450
    together = [0.0] * 5 + [1.0] * 495
    assert np.mean(spread) == np.mean(together)
    assert recall_lower(together, 10) < recall_lower(spread, 10) < np.mean(spread)


def test_the_bound_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(400):
        # one query in 25 loses a fifth of its answer: the true mean recall is 0.992
        recalls = np.where(rng.random(300) < 0.04, 0.8, 1.0)
        held += recall_lower(list(recalls), 10) <= 0.992
    assert held / 400 >= 0.93


def test_ndcg_is_one_for_the_best_order_and_unknown_without_labels():
    gains = {"a": 3.0, "b": 1.0}
    assert ndcg_at(10, ["a", "b"], gains) == 1
    assert ndcg_at(10, ["x", "a"], gains) == pytest.approx(3 / np.log2(3) / (3 + 1 / np.log2(3)))
    assert ndcg_at(10, ["a"], {}) is None


def test_a_ratio_of_a_thing_to_itself_is_one_with_no_doubt():
    times = list(np.random.default_rng(1).exponential(size=100))
    assert ratio_interval(times, times, seed=1) == {"mean": 1, "low": 1, "high": 1}


def test_a_ratio_shows_its_spread():
    rng = np.random.default_rng(3)
    theirs = rng.exponential(2.0, 400)
    found = ratio_interval(theirs / 2 + rng.exponential(0.1, 400), theirs, seed=1)
    assert found["low"] < found["mean"] < found["high"] < 0.7
