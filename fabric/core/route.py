"""Which stores answer a question, with how much effort, and why.

Rights and metadata come first (scope.py). Then, of the stores that are ready: the fastest measured
point whose lower bound reaches the target. Where none reaches it within the time limit, all of
them are asked at their strongest and their answers are fused; the route then says that the target
is not proven.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fabric.core.points import EXACT, Point, cheapest, strongest
from fabric.core.scope import Scope


@dataclass(frozen=True, slots=True)
class StoreView:
    """A store as the router sees it; `problem` is empty for one that is ready."""

    name: str
    points: tuple[Point, ...]
    problem: str = ""
    least_effort: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """One search: this store with this effort."""

    store: str
    effort: int


@dataclass(frozen=True, slots=True)
class Route:
    """What is asked, whether the target is proven, and the reasons in the order they were met."""

    asks: tuple[Ask, ...]
    proven: bool
    reasons: tuple[str, ...]
    left_out: Mapping[str, str]


def choose_route(
    stores: Sequence[StoreView], scope: Scope, *, target: float, limit_ms: float
) -> Route:
    """The route of one question; no ask at all where the scope is empty."""
    left_out = {s.name: s.problem for s in stores if s.problem}
    if not scope:
        return Route((), False, ("no partition is within the rights",), left_out)
    partitions = len(scope.partitions)
    reasons = [f"{partitions} partition{'s'[: partitions > 1]} within the rights"]
    reasons += [f"{name} left out: {problem}" for name, problem in left_out.items()]
    ready = [s for s in stores if not s.problem]
    best = _cheapest(ready, target, limit_ms)
    if best is not None:
        reasons.append(_words(best, target))
        return Route((Ask(best.store, best.effort),), True, tuple(reasons), left_out)
    asks = tuple(_strongest(store, limit_ms) for store in ready)
    reasons.append(
        f"no measured point reaches {target} within {limit_ms:.0f} ms: "
        f"{len(asks)} stores asked and fused"
        if asks else "no store is ready"
    )  # fmt: skip
    return Route(asks, False, tuple(reasons), left_out)


def _cheapest(ready: Sequence[StoreView], target: float, limit_ms: float) -> Point | None:
    found = [
        cheapest(s.points, target=target, limit_ms=limit_ms, least_effort=s.least_effort)
        for s in ready
    ]
    return min((p for p in found if p), key=lambda p: p.mean_ms, default=None)


def _strongest(store: StoreView, limit_ms: float) -> Ask:
    point = strongest(store.points, limit_ms=limit_ms)
    return Ask(store.name, point.effort if point else EXACT)


def _words(point: Point, target: float) -> str:
    effort = "exact search" if point.effort == EXACT else f"effort {point.effort}"
    return (
        f"{point.store} with {effort}: the fastest whose recall is at least {target} "
        f"({point.recall_lower:.4f} with 95 % confidence on {point.queries} queries, "
        f"mean {point.mean_ms:.2f} ms)"
    )
