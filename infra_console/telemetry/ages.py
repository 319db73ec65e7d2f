"""How old the exporters' last good scrapes are: the source of every age. Pure.

The age of an instant query's sample is no age at all: the server stamps it with the query time,
and a rule goes on evaluating after its exporters died. So ages are counted from raw `up` samples.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from infra_console.telemetry.fragments import DEFAULT_JOBS, Jobs
from infra_console.telemetry.series import Answer, Freshness, freshness_of, overall

WINDOW_S = 600.0
# Clocks may differ by so much; a sample later than that says nothing about now.
SKEW_S = 60.0

ScrapeAges = Mapping[tuple[str, str], float | None]


@dataclass(frozen=True, slots=True)
class ClusterFreshness:
    """One cluster: the age of its oldest job's last good scrape; None when none was seen.

    `doubts` say what else is wrong with its numbers.
    """

    state: Freshness
    age_s: float | None
    jobs: Mapping[str, float | None]
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetFreshness:
    """The whole fleet: one state, its oldest age, each cluster, and what silent sources said.

    `notes` tell how numbers are obtained where that is not the usual way.
    """

    state: Freshness
    age_s: float | None
    clusters: Mapping[str, ClusterFreshness]
    errors: Mapping[str, str]
    notes: tuple[str, ...] = ()


def ages_from_up(answer: Answer, *, at_s: float) -> dict[tuple[str, str], float | None]:
    """Seconds since the youngest good scrape of each (cluster, job); None when all were bad."""
    ages: dict[tuple[str, str], float | None] = {}
    for series in answer.series:
        key = (series.labels.get("cluster", ""), series.labels.get("job", ""))
        good = series.times[(series.values == 1) & (series.times <= at_s + SKEW_S)]
        age_s = max(0.0, at_s - float(good[-1])) if len(good) else None
        known = ages.get(key)
        ages[key] = age_s if known is None else min(known, age_s if age_s is not None else known)
    return ages


def targets_from_up(
    answer: Answer, *, at_s: float, recent_s: float
) -> dict[tuple[str, str], tuple[int, int]]:
    """(targets whose newest scrape failed, targets) of each (cluster, job). A target without a
    scrape in `recent_s` is gone and counts no more."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for series in answer.series:
        recent = np.flatnonzero((series.times >= at_s - recent_s) & np.isfinite(series.values))
        if len(recent):
            key = (series.labels.get("cluster", ""), series.labels.get("job", ""))
            failed, targets = found.get(key, (0, 0))
            found[key] = (failed + int(series.values[recent[-1]] != 1), targets + 1)
    return found


def is_job_of(job: str, exporter: str, jobs: Jobs) -> bool:
    """Whether a job's name tells that it is this exporter's."""
    return any(word in job for word in jobs.get(exporter, ()))


def exporter_age(
    ages: ScrapeAges, *, cluster: str, exporter: str, jobs: Jobs = DEFAULT_JOBS
) -> float | None:
    """The oldest age of this exporter's jobs in the cluster; None when one of them has none, or no
    job is known as the exporter's."""
    found = [
        age
        for (where, job), age in ages.items()
        if where == cluster and is_job_of(job, exporter, jobs)
    ]
    known = [age for age in found if age is not None]
    return max(known) if known and len(known) == len(found) else None


def exporters_missing(
    ages: ScrapeAges, *, cluster: str, exporters: Iterable[str], jobs: Jobs = DEFAULT_JOBS
) -> list[str]:
    """The exporters that no job of the cluster is known as."""
    named = [job for where, job in ages if where == cluster]
    return [e for e in exporters if not any(is_job_of(job, e, jobs) for job in named)]


def cluster_freshness(
    ages: ScrapeAges, *, cluster: str, scrape_interval_s: float
) -> ClusterFreshness:
    """One cluster's state: as fresh as its oldest job; partial when only some jobs answer."""
    jobs = {job: age for (where, job), age in ages.items() if where == cluster}
    known = [age for age in jobs.values() if age is not None]
    states = [freshness_of(age, scrape_interval_s=scrape_interval_s) for age in jobs.values()]
    return ClusterFreshness(
        state=overall(states), age_s=max(known) if known else None, jobs=dict(sorted(jobs.items()))
    )


def fleet_freshness_of(
    clusters: Mapping[str, ClusterFreshness],
    errors: Mapping[str, str],
    notes: tuple[str, ...] = (),
) -> FleetFreshness:
    """The fleet from its clusters; a silent source makes it partial, or down when all are."""
    known: Iterable[float] = [c.age_s for c in clusters.values() if c.age_s is not None]
    return FleetFreshness(
        state=overall((c.state for c in clusters.values()), incomplete=bool(errors)),
        age_s=max(known, default=None),
        clusters=dict(sorted(clusters.items())),
        errors=dict(errors),
        notes=notes,
    )
