"""Reasons to trust an exporter's numbers less than the age of its scrapes tells. Pure.

A scrape may succeed and still not tell the whole truth: half of the nodes are missing, a dead
exporter repeats what it knew, samples carry times of the past or of the future. The counts that
show it are the catalogue's `witnesses` and the targets behind `up`.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra_console.telemetry.ages import SKEW_S, ClusterFreshness, is_job_of
from infra_console.telemetry.fragments import DCGM, KSM, Jobs
from infra_console.telemetry.series import Answer, Freshness, freshness_of

# Nodes fail every day: only what is missing beyond this share makes an answer a part of one.
SHARE_MISSING = 0.1
FLAT_S = 600.0

Checks = Mapping[str, float]  # by the check's name
Witnesses = Mapping[tuple[str, str], Checks]  # by (cluster, exporter)


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is wrong in words, the state it leads to, and the age the numbers have at least.

    `at_least` says that parts are missing and no more: what is seen is a lower bound of the whole.
    """

    why: str
    state: Freshness
    age_s: float = 0.0
    at_least: bool = False


Doubts = Mapping[tuple[str, str], tuple[Doubt, ...]]


def witnesses_of(answer: Answer, *, of_now: bool = True) -> Witnesses:
    """The checks by cluster and exporter. Of a moment long past every later sample is "ahead"."""
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for series in answer.series:
        labels, value = series.labels, float(series.values[-1])
        check = labels.get("check", "")
        if not math.isnan(value) and (of_now or check != "lead_s"):
            found[labels.get("cluster", ""), labels.get("exporter", "")][check] = value
    return found


def doubts_of(
    witnesses: Witnesses,
    targets: Mapping[tuple[str, str], tuple[int, int]],
    *,
    cluster: str,
    jobs: Jobs,
    scrape_interval_s: float,
) -> dict[tuple[str, str], tuple[Doubt, ...]]:
    """The doubts about each exporter of one cluster."""
    gpus, kube = witnesses.get((cluster, DCGM), {}), witnesses.get((cluster, KSM), {})
    found: dict[tuple[str, str], tuple[Doubt, ...]] = {}
    for exporter in jobs:
        own = witnesses.get((cluster, exporter), {})
        doubts = [*_late(own, scrape_interval_s), *_ahead(own)]
        if exporter == DCGM:
            doubts += _flat(gpus)
            doubts += _fewer(gpus.get("nodes"), kube.get("nodes_ready"), "ready nodes report GPUs")
            doubts += _fewer(
                gpus.get("gpus_measured"), gpus.get("gpus"), "GPUs tell their activity"
            )
        if exporter == KSM:
            doubts += _fewer(kube.get("nodes"), gpus.get("nodes"), "reporting nodes are known")
        if exporter in {DCGM, KSM}:  # a server that loads its model answers no scrape: no fault
            doubts += _failing(targets, cluster, exporter, jobs)
        if doubts:
            found[cluster, exporter] = tuple(doubts)
    return found


def doubted(
    state: Freshness, age_s: float | None, doubts: tuple[Doubt, ...]
) -> tuple[Freshness, float | None]:
    """State and age of a number under its doubts; what is down or older stays so."""
    for doubt in doubts:
        if age_s is not None:
            age_s = max(age_s, doubt.age_s)
        if _GRAVITY[doubt.state] > _GRAVITY[state]:
            state = doubt.state
    return state, age_s


def doubted_cluster(seen: ClusterFreshness, doubts: Doubts, *, cluster: str) -> ClusterFreshness:
    """The cluster's freshness with everything that is doubted in it."""
    own = tuple(
        doubt for (where, _), found in doubts.items() if where == cluster for doubt in found
    )
    state, age_s = doubted(seen.state, seen.age_s, own)
    words = tuple(dict.fromkeys(doubt.why for doubt in own))
    return replace(seen, state=state, age_s=age_s, doubts=words)


def is_lower_bound(doubts: tuple[Doubt, ...]) -> bool:
    """Whether all that is wrong is that parts are missing."""
    grave = [doubt for doubt in doubts if doubt.state is not Freshness.LIVE]
    return bool(grave) and all(doubt.at_least for doubt in grave)


_GRAVITY = {
    Freshness.LIVE: 0, Freshness.DELAYED: 1, Freshness.PARTIAL: 2, Freshness.STALE: 3,
    Freshness.DOWN: 4,
}  # fmt: skip


def _fewer(have: float | None, of: float | None, what: str) -> list[Doubt]:
    if not of or (have is not None and have >= of):
        return []
    have = have or 0.0
    state = Freshness.PARTIAL if 1 - have / of > SHARE_MISSING else Freshness.LIVE
    return [Doubt(f"{have:.0f} of {of:.0f} {what}", state, at_least=True)]


def _flat(gpus: Checks) -> list[Doubt]:
    flat, nodes = gpus.get("nodes_flat", 0.0), gpus.get("nodes", 0.0)
    if not flat:
        return []
    if flat >= nodes:
        why = "no GPU's power has moved for 10 minutes: the exporter repeats itself"
        return [Doubt(why, Freshness.STALE, FLAT_S)]
    state = Freshness.PARTIAL if flat / nodes > SHARE_MISSING else Freshness.LIVE
    return [Doubt(f"on {flat:.0f} of {nodes:.0f} nodes no value has moved for 10 minutes", state)]


def _late(own: Checks, scrape_interval_s: float) -> list[Doubt]:
    lag_s = own.get("lag_s", 0.0)
    state = freshness_of(lag_s, scrape_interval_s=scrape_interval_s)
    if state is Freshness.LIVE:
        return []
    return [Doubt(f"samples arrive {lag_s:.0f} s late", state, lag_s)]


def _ahead(own: Checks) -> list[Doubt]:
    lead_s = own.get("lead_s", 0.0)
    if lead_s <= SKEW_S:
        return []
    return [Doubt(f"samples are stamped up to {lead_s:.0f} s ahead of now", Freshness.PARTIAL)]


def _failing(
    targets: Mapping[tuple[str, str], tuple[int, int]], cluster: str, exporter: str, jobs: Jobs
) -> list[Doubt]:
    own = [
        counts
        for (where, job), counts in targets.items()
        if where == cluster and is_job_of(job, exporter, jobs)
    ]
    failed, known = sum(f for f, _ in own), sum(n for _, n in own)
    if not failed or failed == known:  # all failing is told by the age
        return []
    return _fewer(known - failed, known, f"targets of {exporter} answer")
