"""Operating points: what each search effort of a store was measured to reach, and to cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TARGET_RECALL = 0.992
EXACT = 0  # the effort that reads every vector in scope: no index, no miss


@dataclass(frozen=True, slots=True)
class Point:
    """One effort of one store on one sample of queries."""

    store: str
    effort: int
    recall: float
    recall_lower: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    queries: int


def envelope(points: Iterable[Point]) -> list[Point]:
    """The points that no other beats in bound and time at once, cheapest first.

    Measured recall wavers: a higher effort may look worse by chance. On the envelope more time
    always buys a higher bound.
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.mean_ms, -p.recall_lower, p.effort)):
        if not kept or point.recall_lower > kept[-1].recall_lower:
            kept.append(point)
    return kept


def cheapest(
    points: Iterable[Point], *, target: float, limit_ms: float | None = None, least_effort: int = 0
) -> Point | None:
    """The fastest point whose lower bound reaches the target within the time limit, else None.

    Args:
        least_effort: efforts below it are not trusted any more; the exact one always is.
    """
    able = [
        p for p in points
        if (p.effort == EXACT or p.effort >= least_effort)
        and (limit_ms is None or p.p95_ms <= limit_ms)
    ]  # fmt: skip
    return next((p for p in envelope(able) if p.recall_lower >= target), None)


def strongest(points: Iterable[Point], *, limit_ms: float) -> Point | None:
    """The point with the highest bound within the limit: what is left when none reaches."""
    within = envelope(p for p in points if p.p95_ms <= limit_ms)
    return within[-1] if within else None


def raised(efforts: Sequence[int], effort: int) -> int:
    """The next effort above this one; above the last, one that only the exact search satisfies."""
    return next((e for e in sorted(efforts) if e > effort), max([effort, *efforts]) + 1)
