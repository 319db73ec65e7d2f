"""When moves that people rejected are asked about again."""

from tiers.core.again import grown


def row(workload: str, p95_2h: float, p95_4h: float) -> dict[str, object]:
    return {"workload": workload, "p95_2h": p95_2h, "p95_4h": p95_4h}


BEFORE = [row("chat", 10.0, 8.0), row("code", 5.0, 5.0)]


def test_the_higher_of_the_two_hours_counts():
    assert grown(BEFORE, [row("chat", 8.0, 12.1)], {"chat"}, share=0.2) == "chat"
    assert grown(BEFORE, [row("chat", 11.9, 8.0)], {"chat"}, share=0.2) == ""


def test_other_workloads_and_those_without_a_forecast_then_do_not_count():
    now = [row("code", 50.0, 50.0), row("new", 9.0, 9.0)]
    assert grown(BEFORE, now, {"chat", "new"}, share=0.2) == ""


def test_from_nothing_expected_any_demand_is_growth():
    assert grown([row("chat", 0.0, 0.0)], [row("chat", 0.1, 0.0)], {"chat"}, share=0.2) == "chat"
