"""What is printed before connecting is what the workers really ask, question by question."""

import pytest
from django.conf import settings

from infra_console.telemetry import queries
from tests.tiers.test_demand import cycle, look, now, source
from tiers.core.query_budget import AGES, FAST_S, FleetSize, adoption_budget, standing_budget
from tiers.extras import read_faults
from tiers.fast_pass import correct_demand
from tiers.observation import read_metrics

__all__ = ["cycle", "look", "source"]
pytestmark = pytest.mark.usefixtures("fleet")
ONE = FleetSize(clusters=1, nodes=3, models=1)


def budget() -> dict[str, int]:
    parts = standing_budget(ONE, observe_s=15.0, cycle_s=600.0, by_metrics=False)
    return {part.what: part.queries for part in parts}


def asked(made, ask) -> int:
    queries.forget_cached()
    made.asked.clear()
    ask()
    return len(made.asked)


def test_each_reading_asks_no_more_than_was_printed_and_not_much_less(source, cycle):
    made = source(now(), 9.5, waiting=0, refused=0, tokens_per_s=9.0, completions_rps=1.0)
    printed = budget()

    def observe() -> None:
        read_metrics()
        read_faults()

    found = asked(made, observe)
    assert found <= printed["observation and faults"] + AGES
    cycle()
    found = asked(made, lambda: correct_demand(now=now()))
    assert printed["fast pass"] - 2 <= found <= printed["fast pass"]
    # Nodes are given, so the look's own questions are left out; nothing is doubted, so is growth.
    found = asked(made, cycle)
    most = printed["cycle"] - 4
    assert 0.6 * most <= found <= most


def test_what_is_printed_counts_every_part_and_the_bytes_of_the_histories():
    parts = standing_budget(
        FleetSize(clusters=12, nodes=1000), observe_s=15.0, cycle_s=600.0, by_metrics=True
    )
    by_name = {part.what: part for part in parts}
    assert set(by_name) == {
        "observation and faults", "ages", "fast pass", "sources and their rules", "cycle",
        "nodes and pods",
    }  # fmt: skip
    # 12 x 8 models and 12 x 8 namespaces and phases, 28 days of ten minutes at 30 bytes: 22 MiB.
    history = by_name["cycle"].samples * 30 / 2**20
    assert history == pytest.approx(22.1, abs=0.1)
    assert settings.CELERY_BEAT_SCHEDULE["tiers correct demand"]["schedule"] == FAST_S
    assert adoption_budget(ONE).queries == 13 + AGES
