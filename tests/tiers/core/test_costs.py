"""Costs by hand: the docstring's example, gaps that stay gaps, and sums that meet."""

from decimal import Decimal

import pytest

from tiers.core.costs import CostLot, cost_table

THREE = Decimal("3")


def lot(gpus: int, state: str = "serving", **changes) -> CostLot:
    values = {
        "cluster": "fra", "region": "eu", "pool": "p", "tier": "inference", "state": state,
        "team": "search", "model": "chat" if state == "serving" else "", "gpus": gpus,
        "usd_per_gpu_hour": THREE,
    }  # fmt: skip
    return CostLot(**(values | changes))


TOKENS = {("fra", "chat"): Decimal(1000)}


def test_a_million_tokens_by_hand_alone_and_with_what_stands_idle_beside_them():
    rows = cost_table([lot(8), lot(8, "free-usable")], TOKENS, by="model")
    chat, nobody = rows
    assert (chat.name, chat.usd, chat.usd_idle) == ("chat", Decimal(24), Decimal(0))
    assert round(chat.usd_per_million_tokens, 2) == Decimal("6.67")
    assert round(chat.usd_per_million_tokens_loaded, 2) == Decimal("13.33")
    assert (nobody.name, nobody.usd_idle) == ("", Decimal(24))
    assert nobody.usd_per_million_tokens is None


def test_idle_stranded_and_broken_are_told_apart_and_sum_to_the_fleet():
    states = ("serving", "free-usable", "idle-allocated", "free-stranded", "broken", "unknown")
    (row,) = cost_table([lot(8, s) for s in states], TOKENS, by="tier")
    assert (row.usd, row.usd_idle, row.usd_stranded, row.usd_out) == (144, 48, 24, 48)


def test_an_unknown_price_is_no_zero_and_leaves_no_token_price():
    (row,) = cost_table([lot(8), lot(4, usd_per_gpu_hour=None)], TOKENS, by="tier")
    assert (row.usd, row.unpriced_gpus, row.partial) == (24, 4, True)
    assert row.usd_per_million_tokens is None


def test_unknown_tokens_leave_the_token_price_unknown():
    for tokens in ({}, {("fra", "chat"): None}):
        (row,) = cost_table([lot(8)], tokens, by="region")
        assert row.tokens_per_s is None
        assert row.usd_per_million_tokens is None


def test_tokens_of_a_model_are_divided_over_the_teams_that_serve_it():
    rows = cost_table([lot(6), lot(2, team="ads")], TOKENS, by="team")
    assert {r.name: r.tokens_per_s for r in rows} == {"search": 750, "ads": 250}
    assert len({r.usd_per_million_tokens for r in rows}) == 1


@pytest.mark.parametrize("by", ["model", "tier", "region", "team"])
def test_groups_sum_to_the_same_whichever_they_are(by):
    lots = [lot(8), lot(4, "training", tier="training"), lot(3, "broken", cluster="osl")]
    assert sum(r.usd for r in cost_table(lots, TOKENS, by=by)) == 45
