"""Whether demand has grown so much that moves people rejected are worth asking about again."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

EXPECTED = ("p95_2h", "p95_4h")


def grown(
    before: Sequence[Mapping[str, Any]],
    now: Sequence[Mapping[str, Any]],
    workloads: Collection[str],
    *,
    share: float,
) -> str:
    """The first of these workloads whose demand was expected lower by more than `share` of it.

    Args:
        before, now: rows of evidence, each with `workload` and its quantiles.

    Returns:
        Its name; empty when none has grown. A workload without a forecast then has not grown: what
        it was is unknown.
    """
    then = {row["workload"]: row for row in before}
    for row in now:
        name = row["workload"]
        if name in workloads and name in then and _peak(row) > _peak(then[name]) * (1 + share):
            return str(name)
    return ""


def _peak(row: Mapping[str, Any]) -> float:
    return max(float(row[name]) for name in EXPECTED)
