"""What if a region goes: where its traffic, and what it displaces, would be served.

For each model on its own a transport problem, solved exactly as a linear programme (HiGHS):
requests per second from where they enter to where they are served, at the least sum of round trips.
What has no lawful place with room stays unserved, and serving comes before being near.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # by its parts, at first use: most processes need none

from regions.core.rtt import Pair, RoundTrip

Rule = Literal["anywhere", "jurisdiction"]
# Dearer than any way around the earth: a request is left unserved only where there is no room.
UNSERVED_MS = 1e5
LEAST_RPS = 1e-6


@dataclass(frozen=True, slots=True)
class Load:
    """One model in one region: requests that enter there, and what its groups serve within SLO.

    None is unknown: unknown requests are left out and named, unknown room takes nothing.
    """

    region: str
    model: str
    rps: float | None
    room_rps: float | None


@dataclass(frozen=True, slots=True)
class Flow:
    """Requests of one model on one way; `ms` is its round trip, 0 within a region."""

    model: str
    origin: str
    region: str
    rps: float
    ms: float


@dataclass(frozen=True, slots=True)
class Unserved:
    """Requests without a place, and why."""

    model: str
    origin: str
    rps: float
    reason: str


@dataclass(frozen=True, slots=True)
class Spill:
    """Where everything would be served. `unknown` names what could not be counted."""

    flows: tuple[Flow, ...]
    unserved: tuple[Unserved, ...]
    unknown: tuple[str, ...]

    @property
    def served_rps(self) -> float:
        return sum(flow.rps for flow in self.flows)

    @property
    def unserved_rps(self) -> float:
        return sum(left.rps for left in self.unserved)

    @property
    def mean_ms(self) -> float | None:
        """Mean round trip between regions of what is served; None where nothing is."""
        served = self.served_rps
        return sum(f.rps * f.ms for f in self.flows) / served if served else None

    def into(self, region: str) -> float:
        """Requests per second that a region would serve."""
        return sum(flow.rps for flow in self.flows if flow.region == region)


def spill(
    loads: Iterable[Load],
    times: Mapping[Pair, RoundTrip],
    jurisdiction: Mapping[str, str],
    *,
    lost: Collection[str] = (),
    rule: Rule = "jurisdiction",
) -> Spill:
    """Serve all requests without the lost regions, whose users are still there and ask.

    Args:
        rule: whether a request may be served anywhere, or where its own jurisdiction holds only;
            what the law really asks of each request lies between the two.
    """
    rows = sorted(loads, key=lambda load: (load.model, load.region))
    open_ = [row for row in rows if row.region not in lost]
    flows: list[Flow] = []
    unserved: list[Unserved] = []
    for model in sorted({row.model for row in rows}):
        origins = [row for row in rows if row.model == model and row.rps]
        places = [row for row in open_ if row.model == model and row.room_rps]
        ways = [
            (i, j)
            for i, origin in enumerate(origins)
            for j, place in enumerate(places)
            if rule == "anywhere"
            or jurisdiction.get(origin.region) == jurisdiction.get(place.region)
        ]
        served = _transport(origins, places, ways, times)
        flows += [Flow(model, *way, rps, _ms(times, *way)) for way, rps in sorted(served.items())]
        unserved += _left(origins, served, {i for i, _ in ways})
    unknown = [f"requests for {r.model} in {r.region}" for r in rows if r.rps is None]
    unknown += [f"room of {r.model} in {r.region}" for r in open_ if r.room_rps is None]
    return Spill(tuple(flows), tuple(unserved), tuple(unknown))


def _transport(
    origins: Sequence[Load],
    places: Sequence[Load],
    ways: Sequence[tuple[int, int]],
    times: Mapping[Pair, RoundTrip],
) -> dict[Pair, float]:
    """Requests per second by way; the least sum of round trips of the most that can be served."""
    if not ways:
        return {}
    gain = [UNSERVED_MS - _ms(times, origins[i].region, places[j].region) for i, j in ways]
    rows = [i for i, _ in ways] + [len(origins) + j for _, j in ways]
    columns = [*range(len(ways))] * 2
    limits = [o.rps or 0.0 for o in origins] + [p.room_rps or 0.0 for p in places]
    matrix = scipy.sparse.coo_array(
        (np.ones(len(rows)), (rows, columns)), shape=(len(limits), len(ways))
    ).tocsr()
    found = scipy.optimize.linprog(
        -np.array(gain), A_ub=matrix, b_ub=limits, bounds=(0, None), method="highs"
    )
    return {
        (origins[i].region, places[j].region): float(rps)
        for (i, j), rps in zip(ways, found.x, strict=True)
        if rps > LEAST_RPS
    }


def _left(
    origins: Sequence[Load], served: Mapping[Pair, float], lawful: Collection[int]
) -> list[Unserved]:
    found = []
    for i, origin in enumerate(origins):
        rps = (origin.rps or 0.0) - sum(n for (o, _), n in served.items() if o == origin.region)
        if rps > LEAST_RPS:
            why = (
                "the lawful regions are full"
                if i in lawful
                else "no lawful region serves the model"
            )
            found.append(Unserved(origin.model, origin.region, rps, why))
    return found


def _ms(times: Mapping[Pair, RoundTrip], origin: str, region: str) -> float:
    return 0.0 if origin == region else times[origin, region].ms
