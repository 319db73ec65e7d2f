"""`python -m benchmarks.routing --json`: decisions a second of one router, in process, by CPU time.

Twelve regions, two models, prompts of 5,000 tokens (20 blocks) with shared beginnings, four turns a
conversation, a quarter of the requests bound to one jurisdiction; seeded. Beside it, in the same
run, the least that any router does: the shortest way among the lawful regions.
"""

import argparse
import json
import random
import time
from collections.abc import Callable

from regions.core.cells import Load
from regions.core.law import ANYWHERE, Refusal, Region, Residency
from regions.core.router import Request, Router
from regions.core.rtt import Position, round_trips

REGIONS, REQUESTS, NEWS_EVERY = 12, 40_000, 400
MODELS = ("chat-7b", "chat-70b")
RATE = 2e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311 - a seed, not a secret
    regions = [
        Region(f"r{i}", f"J{i % 6}", frozenset(MODELS if i % 3 else MODELS[:1]))
        for i in range(REGIONS)
    ]
    places = {r.id: Position(rng.uniform(-60, 60), rng.uniform(-180, 180)) for r in regions}
    times = round_trips(places)
    requests = [_request(rng, regions) for _ in range(REQUESTS)]
    router = Router(regions, times, cache_tokens=dict.fromkeys(places, 400_000))
    seconds, refused = _run(router, regions, requests)
    plain = _timed(lambda request: _nearest(request, regions, times), requests)
    report = {
        "decisions_per_s": round(REQUESTS / seconds),
        "microseconds": round(1e6 * seconds / REQUESTS, 1),
        "times_the_nearest_lawful": round(seconds / plain, 1),
        "refused": refused,
        "requests": REQUESTS,
        "regions": REGIONS,
        "seed": options.seed,
    }
    print(json.dumps(report) if options.json else "\n".join(f"{k}: {v}" for k, v in report.items()))


def _request(rng: random.Random, regions: list[Region]) -> Request:
    origin, tenant, session = rng.choice(regions), rng.randrange(3000), rng.randrange(10_000)
    beginning = [hash((tenant, i)) for i in range(8)]
    blocks = beginning + [hash((tenant, session, i)) for i in range(12)]
    residency: Residency = frozenset({origin.jurisdiction}) if rng.random() < 0.25 else ANYWHERE
    return Request(
        origin.id, rng.choice(MODELS), residency, 5_000, tuple(blocks), f"s{session}"
    )  # fmt: skip


def _run(router: Router, regions: list[Region], requests: list[Request]) -> tuple[float, int]:
    refused, now_s, began = 0, 0.0, time.process_time()
    for i, request in enumerate(requests):
        now_s = i / 200
        if i % NEWS_EVERY == 0:
            router.set_prices(now_s)
            for region in regions:
                for model in region.models:
                    router.observe(region.id, model, Load(now_s, RATE, 0.0))
        refused += isinstance(router.decide(request, now_s), Refusal)
    return time.process_time() - began, refused


def _nearest(request: Request, regions: list[Region], times: dict) -> str:  # type: ignore[type-arg]
    lawful = (
        r for r in regions
        if request.model in r.models
        and (request.residency == ANYWHERE or r.jurisdiction in request.residency)
    )  # fmt: skip
    return min(
        (r.id for r in lawful),
        key=lambda r: 0.0 if r == request.origin else times[request.origin, r].ms,
        default="",
    )


def _timed(decide: Callable[[Request], str], requests: list[Request]) -> float:
    began = time.process_time()
    for request in requests:
        decide(request)
    return time.process_time() - began


if __name__ == "__main__":
    main()
