"""From the router's scores to the weights of routes: what part of its requests each region gets.

For each model a transport problem as in `spill`, solved exactly (HiGHS): requests per second from
the routes where they enter to the regions that the router would consider for them, at the least sum
of its scores, no region beyond its room. Who is outside the law, lost or drained has no score, so
no weight of it can be written down. Weights are whole percent.

Nothing is said of a model while anything is unknown that would decide it, and nothing changes for a
gain under `least_gain_ms`, unless a weight goes where nothing may go any more.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from regions.core.law import Residency
from regions.core.router import Request, Router

TOTAL = 100
Split = Mapping[str, int]
"""Percent by region; sums to TOTAL."""


@dataclass(frozen=True, slots=True)
class Route:
    """Requests of one model that enter in one region. `now` is what its weights say, in percent;
    `rps` is None where it is not known; `regions` are those that it has a backend for."""

    id: str
    origin: str
    model: str
    residency: Residency
    regions: tuple[str, ...]
    now: Split
    rps: float | None


@dataclass(frozen=True, slots=True)
class Scores:
    """What the router expects of each region for one route's requests, in milliseconds; a region
    that is out has the reason instead."""

    ms: Mapping[str, float]
    out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """`load` is the part of its room that a region is given; gains in ms of the mean score."""

    load: float = 0.9
    least_gain_ms: float = 10.0
    prompt_tokens: int = 1000


@dataclass(frozen=True, slots=True)
class Proposal:
    """The weights of one model's routes, by route id, and what goes into each region then.

    `reason` says why nothing changes (`splits` is empty), or why something must.
    """

    model: str
    splits: Mapping[str, Split]
    into: Mapping[str, float]
    before_ms: float | None
    after_ms: float | None
    reason: str


def scores_of(
    router: Router, routes: Iterable[Route], now_s: float, rules: Rules
) -> dict[str, Scores]:
    """What the router says to a request of each route, by route id; changes nothing."""
    found = {}
    for route in routes:
        asked = Request(route.origin, route.model, route.residency, rules.prompt_tokens)
        said = router.explain(asked, now_s)
        found[route.id] = Scores(
            ms={c.region: c.choice.expected_ms + c.choice.price_ms for c in said if c.choice},
            out={c.region: c.why_not for c in said if not c.choice},
        )
    return found


def propose(
    routes: Sequence[Route],
    scores: Mapping[str, Scores],
    room_rps: Mapping[tuple[str, str], float | None],
    *,
    rules: Rules | None = None,
) -> list[Proposal]:
    """One proposal a model.

    Args:
        room_rps: by (region, model); a region without a known room takes no more than it gets now.
    """
    rules = rules or Rules()
    models = sorted({route.model for route in routes})
    return [
        _of_model(m, [r for r in routes if r.model == m], scores, room_rps, rules) for m in models
    ]


def without(
    routes: Sequence[Route],
    scores: Mapping[str, Scores],
    room_rps: Mapping[tuple[str, str], float | None],
    *,
    lost: str,
    rules: Rules | None = None,
) -> list[Proposal]:
    """The same if a region were lost: nothing enters there, nothing is served there."""
    left = [route for route in routes if route.origin != lost]
    kept = {
        key: replace(s, ms={r: ms for r, ms in s.ms.items() if r != lost})
        for key, s in scores.items()
    }
    return propose(left, kept, room_rps, rules=replace(rules or Rules(), least_gain_ms=0.0))


def flows_into(routes: Iterable[Route], splits: Mapping[str, Split]) -> dict[str, float]:
    """Requests per second into each region under these weights; unknown requests are left out."""
    into: dict[str, float] = {}
    for route in routes:
        for region, percent in splits.get(route.id, route.now).items():
            if percent and route.rps:
                into[region] = into.get(region, 0.0) + route.rps * percent / TOTAL
    return into


def _of_model(
    model: str,
    routes: Sequence[Route],
    scores: Mapping[str, Scores],
    room_rps: Mapping[tuple[str, str], float | None],
    rules: Rules,
) -> Proposal:
    def stays(why: str) -> Proposal:
        return Proposal(model, {}, flows_into(routes, {}), before, None, why)

    before = _mean_ms(routes, scores, {})
    if unknown := [r.origin for r in routes if r.rps is None]:
        return stays(f"requests unknown from {', '.join(unknown)}")
    now = flows_into(routes, {})
    room = _rooms(model, routes, room_rps, now)
    shares = _transport(routes, scores, room, rules)
    if isinstance(shares, str):
        return stays(shares)
    splits = {r.id: _percent(shares[r.id], r, scores[r.id]) for r in routes}
    into = flows_into(routes, splits)
    if over := [r for r, rps in into.items() if rps > room.get(r, 0.0) + 1e-9]:
        return stays(f"{', '.join(over)} would get more than it can serve")
    after = _mean_ms(routes, scores, splits)
    changed = {r.id: s for r in routes if _differs(s := splits[r.id], r.now)}
    must = _must_change(routes, scores, room, now)
    if not changed:
        return stays("the weights are the best there are")
    if not must and (before is None or after is None or before - after < rules.least_gain_ms):
        return stays(f"a gain under {rules.least_gain_ms:g} ms is not worth a change")
    return Proposal(model, changed, into, before, after, must)


def _rooms(
    model: str,
    routes: Sequence[Route],
    room_rps: Mapping[tuple[str, str], float | None],
    now: Mapping[str, float],
) -> dict[str, float]:
    """What each region may get: its room, or where that is unknown what it gets already."""
    regions = {region for route in routes for region in route.regions}
    known = {region: room_rps.get((region, model)) for region in sorted(regions)}
    return {r: now.get(r, 0.0) if rps is None else rps for r, rps in known.items()}


def _transport(
    routes: Sequence[Route],
    scores: Mapping[str, Scores],
    room: Mapping[str, float],
    rules: Rules,
) -> dict[str, dict[str, float]] | str:
    """Requests per second by route and region; or why there is no such way."""
    ways = [(i, r) for i, a in enumerate(routes) for r in a.regions if r in scores[a.id].ms]
    rates = [route.rps or 0.0 for route in routes]
    served = {i for i, _ in ways}
    if cut_off := [routes[i].origin for i, rps in enumerate(rates) if rps and i not in served]:
        return f"no lawful region takes the requests from {', '.join(cut_off)}"
    if not ways:
        return "nothing is asked"
    places = sorted({region for _, region in ways})
    columns = np.arange(len(ways))
    per_route = _ones([i for i, _ in ways], columns, len(routes))
    per_place = _ones([places.index(r) for _, r in ways], columns, len(places))
    found = linprog(
        [scores[routes[i].id].ms[r] for i, r in ways],
        A_ub=per_place, b_ub=[room.get(r, 0.0) * rules.load for r in places],
        A_eq=per_route, b_eq=[rps if i in served else 0.0 for i, rps in enumerate(rates)],
        bounds=(0, None), method="highs",
    )  # fmt: skip
    if found.status != 0:
        total = sum(room.get(r, 0.0) for r in places) * rules.load
        return (
            f"{sum(rates):.1f} requests/s do not fit into {total:.1f} of the regions that may serve"
        )
    shares: dict[str, dict[str, float]] = {route.id: {} for route in routes}
    for (i, region), rps in zip(ways, found.x, strict=True):
        shares[routes[i].id][region] = float(rps)
    return shares


def _ones(rows: Sequence[int], columns: object, height: int) -> coo_array:
    size = len(rows)
    return coo_array((np.ones(size), (rows, columns)), shape=(height, size)).tocsr()


def _percent(shares: Mapping[str, float], route: Route, scores: Scores) -> dict[str, int]:
    """Whole percent by largest remainder; a route without requests goes to its best region."""
    if not sum(shares.values()):
        open_ = [region for region in route.regions if region in scores.ms]
        best = min(open_, key=lambda region: scores.ms[region], default=None)
        return {r: TOTAL if r == best else 0 for r in route.regions} if best else dict(route.now)
    whole = _whole(shares)
    return {region: whole.get(region, 0) for region in route.regions}


def _whole(shares: Mapping[str, float]) -> dict[str, int]:
    """Parts of a total above zero as whole percent by largest remainder; they sum to TOTAL."""
    total = sum(shares.values())
    exact = {region: TOTAL * share / total for region, share in shares.items()}
    floors = {region: int(share) for region, share in exact.items()}
    first = sorted(exact, key=lambda region: (floors[region] - exact[region], region))
    for region in first[: TOTAL - sum(floors.values())]:
        floors[region] += 1
    return floors


def _must_change(
    routes: Sequence[Route],
    scores: Mapping[str, Scores],
    room: Mapping[str, float],
    now: Mapping[str, float],
) -> str:
    """Why the weights cannot stay as they are; empty when they can."""
    for route in routes:
        for region, percent in route.now.items():
            if percent and region not in scores[route.id].ms:
                why = scores[route.id].out.get(region) or "lost"
                return f"{route.origin} sends {percent} % to {region}: {why}"
    over = [r for r, rps in now.items() if rps > room.get(r, 0.0) + 1e-9]
    return f"{', '.join(over)} gets more than it can serve" if over else ""


def _mean_ms(
    routes: Sequence[Route], scores: Mapping[str, Scores], splits: Mapping[str, Split]
) -> float | None:
    """Mean score of a request under these weights; None where one goes to a region without one."""
    total = weighed = 0.0
    for route in routes:
        for region, percent in splits.get(route.id, route.now).items():
            if percent and route.rps:
                if region not in scores[route.id].ms:
                    return None
                total += route.rps * percent
                weighed += route.rps * percent * scores[route.id].ms[region]
    return weighed / total if total else None


def _differs(split: Split, now: Split) -> bool:
    return any(split.get(r, 0) != now.get(r, 0) for r in {*split, *now})


def percent_of(weights: Collection[tuple[str, int]]) -> dict[str, int]:
    """Weights as whole percent, as a gateway shares requests out; all zero stays so."""
    held = dict(weights)
    return _whole(held) if sum(held.values()) else dict.fromkeys(held, 0)
