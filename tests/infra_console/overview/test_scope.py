"""The URL says what a page is about."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import RequestFactory

from infra_console.overview.scope import PAST_HOURS, Scope, scope_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _scope(query: str) -> Scope:
    return scope_of(RequestFactory().get(f"/{query}"))


def test_no_query_is_the_whole_fleet_a_day_back_and_four_hours_ahead():
    assert _scope("") == Scope(region="", tier="", past="24h", future=True)


@pytest.mark.parametrize("past", PAST_HOURS)
@pytest.mark.parametrize("future", [True, False])
def test_every_range_survives_the_way_through_the_url(past, future):
    scope = Scope(region="uksouth", tier="training", past=past, future=future)
    assert _scope(scope.query()) == scope


def test_a_plus_sign_typed_by_hand_still_means_the_future():
    assert _scope("?range=3h+4h") == Scope(past="3h", future=True)
    assert _scope("?range=3h") == Scope(past="3h", future=False)


def test_nonsense_falls_back_and_never_fails():
    assert _scope("?range=9y%2Bforever&tier=gold") == Scope(past="24h", future=True)


def test_defaults_are_left_out_of_links_and_changes_keep_the_rest():
    assert Scope().query() == ""
    assert Scope(region="uksouth", past="7d").query(region="") == "?range=7d%2B4h"


def test_the_chart_ends_four_hours_ahead_only_with_the_future():
    assert Scope(past="3h").end(NOW) - NOW == timedelta(hours=4)
    assert Scope(past="3h", future=False).end(NOW) == NOW
    assert NOW - Scope(past="28d").start(NOW) == timedelta(days=28)
