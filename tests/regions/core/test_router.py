"""The global router: lawful first, then fastest; it says why where there is no choice."""

import random
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regions.core.cells import Load
from regions.core.errors import UnknownRegion
from regions.core.law import ANYWHERE, Refusal, Region
from regions.core.router import Choice, Policy, Request, Router
from regions.core.rtt import RoundTrip

REGIONS = (
    Region("eastus", "US", frozenset({"chat-7b", "chat-70b"})),
    Region("westus", "US", frozenset({"chat-7b", "chat-70b"})),
    Region("frankfurt", "EU", frozenset({"chat-7b"})),
    Region("dublin", "EU", frozenset({"chat-7b", "chat-70b"})),
)
MS = {
    ("eastus", "westus"): 67.0, ("eastus", "frankfurt"): 88.0, ("eastus", "dublin"): 70.0,
    ("westus", "frankfurt"): 150.0, ("westus", "dublin"): 130.0, ("frankfurt", "dublin"): 25.0,
}  # fmt: skip
TIMES = {
    pair: RoundTrip(ms, "matrix", 1.0) for (a, b), ms in MS.items() for pair in ((a, b), (b, a))
}
RATE = 10_000.0


def router(*, waiting: dict[str, float] | None = None, at_s: float = 0.0, **policy) -> Router:
    """A router with news of every region: so many prompt tokens wait in each."""
    made = Router(
        REGIONS, TIMES, policy=Policy(**policy),
        cache_tokens={r.id: 400_000 for r in REGIONS},
    )  # fmt: skip
    news(made, at_s, waiting or {})
    return made


def news(made: Router, at_s: float, waiting: dict[str, float] | None = None) -> None:
    for region in REGIONS:
        for model in region.models:
            made.observe(region.id, model, Load(at_s, RATE, (waiting or {}).get(region.id, 0.0)))


def ask(origin="eastus", *, model="chat-7b", residency=ANYWHERE, tokens=1000, **more) -> Request:
    return Request(origin, model, residency, tokens, **more)


def test_an_idle_fleet_serves_where_the_request_comes_in():
    choice = router().decide(ask("frankfurt"), 0.0)
    assert choice == Choice("frankfurt", 12.0, 0.0, 100.0, 0.0, cached_tokens=0)


def test_a_queue_that_is_longer_than_the_way_sends_the_request_away():
    made = router(waiting={"eastus": 1000.0})  # 100 ms of work against 67 ms of way
    assert made.decide(ask(), 0.0).region == "westus"
    assert router(waiting={"eastus": 600.0}).decide(ask(), 0.0).region == "eastus"


def test_a_prompt_goes_where_its_beginning_is_held_if_that_saves_more_than_the_way():
    made, blocks = router(), tuple(range(8))
    first = made.decide(ask("dublin", tokens=2100, blocks=blocks), 0.0)
    assert first.region == "dublin"
    again = made.decide(ask("frankfurt", tokens=2100, blocks=blocks), 10.0)
    assert isinstance(again, Refusal)  # no news for ten seconds
    news(made, 10.0)
    again = made.decide(ask("frankfurt", tokens=2100, blocks=blocks), 10.0)
    assert (again.region, again.cached_tokens, again.prefill_ms) == ("dublin", 2048, 5.2)


def test_what_was_sent_since_the_last_news_counts_as_waiting():
    made = router()
    went = [made.decide(ask(tokens=1000), 0.0).region for _ in range(6)]
    # 100 ms of work each: the second already finds 100 ms of queue at home.
    assert went[:2] == ["eastus", "westus"]
    assert set(went) == {"eastus", "westus", "dublin", "frankfurt"}


def test_news_from_before_a_sending_do_not_hide_it():
    made = router(at_s=0.0)
    made.decide(ask(), 1.0)
    news(made, 0.5)  # read before the request was sent, arrives after it
    assert made.decide(ask(), 1.0).region == "westus"
    news(made, 1.5)  # and this one has seen it
    assert made.decide(ask(), 1.5).region == "eastus"


def test_a_conversation_stays_unless_elsewhere_is_better_by_more_than_the_stick():
    made = router(stick_ms=80.0)
    assert made.decide(ask("westus", session="s"), 0.0).region == "westus"
    news(made, 1.0, {"westus": 1000.0})
    assert made.decide(ask("westus", session="s"), 1.0).stays  # 100 ms of wait against 67 + 80
    news(made, 2.0, {"westus": 2000.0})
    assert made.decide(ask("westus", session="s"), 2.0).region == "eastus"


def test_draining_by_price_empties_a_region_in_steps_and_infinity_closes_it():
    made = router()
    made.surcharge("frankfurt", 20.0)
    assert made.decide(ask("frankfurt", tokens=10), 0.0).region == "frankfurt"
    made.surcharge("frankfurt", 30.0)
    assert made.decide(ask("frankfurt", tokens=10), 0.0).region == "dublin"
    made.surcharge("frankfurt", inf)
    made.surcharge("dublin", inf)
    refused = made.decide(ask("frankfurt", residency=frozenset({"EU"})), 0.0)
    assert refused.code == "none-lives"
    assert refused.reason.count("drained") == 2
    made.surcharge("frankfurt", 0.0)
    assert made.decide(ask("frankfurt"), 0.0).region == "frankfurt"


def test_a_lost_region_gets_nothing_until_it_is_heard_again_and_its_caches_are_gone():
    made, blocks = router(), (1, 2, 3, 4)
    made.decide(ask("dublin", tokens=1100, blocks=blocks), 0.0)
    made.lose("dublin")
    assert made.decide(ask("dublin"), 0.0).region == "frankfurt"
    news(made, 1.0)
    assert made.decide(ask("dublin", tokens=1100, blocks=blocks), 1.0).cached_tokens == 0


def test_silence_is_loss():
    made = router(at_s=0.0, lost_after_s=5.0)
    assert isinstance(made.decide(ask(), 5.0), Choice)
    refused = made.decide(ask(), 8.0)
    assert refused.code == "none-lives"
    assert "eastus: no news of it for 8 s" in refused.reason


def test_full_everywhere_is_refused_with_the_time_to_come_again():
    made = router(waiting=dict.fromkeys((r.id for r in REGIONS), 120_000.0), longest_wait_s=10.0)
    refused = made.decide(ask(), 0.0)
    assert (refused.code, refused.retry_after_s) == ("full", pytest.approx(2.0))


def test_a_region_that_gets_more_than_its_share_grows_dearer_until_some_go_elsewhere():
    made = router(price_gain_ms=200.0, target_load=0.5)
    made.set_prices(0.0)
    went = []
    for turn in range(27):  # 100 ms of work each 111 ms: there is never a queue to flee from
        news(made, turn / 9)
        went.append(made.decide(ask(), turn / 9).region)
        if turn % 9 == 8:
            made.set_prices((turn + 1) / 9)
    assert went[:9] == ["eastus"] * 9
    assert went[9:18] == ["westus"] * 9  # 80 ms dearer, and the way is 67 ms
    assert went[18:] == ["eastus"] * 9  # it was left alone, and is cheap again


def test_a_further_copy_of_a_beginning_has_its_price():
    blocks = (7,)
    made = router(most_copies=1, copy_ms=40.0)
    made.decide(ask("dublin", tokens=300, blocks=blocks), 0.0)
    # 25 ms of way against 25.6 ms of prefill and the price of a copy.
    assert made.decide(ask("frankfurt", tokens=300, blocks=blocks), 1.0).region == "dublin"


def test_refusals_say_what_is_wrong():
    made = router()
    assert made.decide(ask(model="chat-405b"), 0.0).code == "no-such-model"
    assert made.decide(ask(residency=frozenset()), 0.0).code == "residency-unknown"
    assert made.decide(ask(residency="EU"), 0.0).code == "residency-unknown"
    refused = made.decide(ask(residency=frozenset({"JP"})), 0.0)
    assert refused.code == "no-lawful-region"
    assert "EU, US" in refused.reason
    assert "JP" in refused.reason


def test_an_unknown_origin_is_an_error_of_the_caller():
    with pytest.raises(UnknownRegion):
        router().decide(ask("atlantis"), 0.0)
    with pytest.raises(ValueError, match="one token"):
        ask(tokens=0)


def test_an_explanation_names_every_region_and_changes_nothing():
    made = router()
    made.surcharge("dublin", inf)
    asked = ask("frankfurt", model="chat-70b", residency=frozenset({"US", "EU"}))
    rows = {c.region: c for c in made.explain(asked, 0.0)}
    assert rows["frankfurt"].why_not == "does not host chat-70b"
    assert rows["dublin"].why_not == "drained"
    assert rows["eastus"].choice.network_ms == 100.0
    assert made.explain(asked, 0.0) == made.explain(asked, 0.0)


@given(seed=st.integers(0, 2**32), turns=st.integers(1, 60))
def test_no_history_leads_a_request_out_of_its_jurisdictions(seed, turns):
    """Losses, drains, queues, prices and conversations at random: the law holds in every answer."""
    rng, made, now_s = random.Random(seed), router(), 0.0
    jurisdiction = {r.id: r.jurisdiction for r in REGIONS}
    for _ in range(turns):
        now_s += rng.random()
        region = rng.choice(REGIONS).id
        act = rng.randrange(5)
        if act == 0:
            made.lose(region)
        elif act == 1:
            made.surcharge(region, rng.choice([0.0, 50.0, inf]))
        elif act == 2:
            news(made, now_s, {region: rng.random() * 2e5})
        elif act == 3:
            made.set_prices(now_s)
        residency = rng.choice([frozenset({"EU"}), frozenset({"US"}), frozenset({"EU", "US"})])
        answer = made.decide(
            ask(region, model=rng.choice(["chat-7b", "chat-70b"]), residency=residency,
                tokens=rng.randrange(1, 9000), session=rng.choice(["", "a", "b"])),
            now_s,
        )  # fmt: skip
        if isinstance(answer, Choice):
            assert jurisdiction[answer.region] in residency
        else:
            assert answer.reason
