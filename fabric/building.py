"""An index built anew beside the one in use: ordered, built, measured, put in its place, dropped.

Ordered and switched by the step of a plan (rebuild_step.py), built by a task. The row of a build is
the truth: a task that is lost or killed is made up for by the next, which goes on where it stopped.
Of two indexes one row each says how it stands; a switch exchanges what the rows say, at once.
"""

import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from fabric.core.points import EXACT, Point, cheapest
from fabric.errors import IngestRunning, StoreError, StoreSlow, StoreUnavailable
from fabric.filling import fill_index
from fabric.locks import alone
from fabric.measure import keep_points, measure_index, measured, point_of, sample_vectors
from fabric.models import Collection, IndexBuild, OperatingPoint, StoreIndex
from fabric.stores import spec_of, store_named
from fabric.truth import read_truth
from infra_console.audit.services import record_audit
from infra_console.live.services import publish
from infra_console.plans.queries import may_still_need

log = logging.getLogger(__name__)

Built = IndexBuild.State
PASSES = (StoreUnavailable, StoreSlow)  # a store that may answer later
MEASURED_EVERY = timedelta(hours=1)  # an index that was switched to, while its plan may go back


class Unwanted(Exception):
    """The plan has ended, and with it the need for this index."""


def next_generation(index: StoreIndex) -> int:
    highest = index.builds.aggregate(highest=Max("generation"))["highest"]
    return max(index.generation, highest or 0) + 1


def order_build(
    index: StoreIndex, *, plan: str, generation: int, parameters: dict[str, int]
) -> IndexBuild:
    """The build of this plan, new or as it stands: a plan orders one index once."""
    build, is_new = IndexBuild.objects.get_or_create(
        index=index, plan=plan,
        defaults={
            "generation": generation, "parameters": parameters, "ordered_at": timezone.now(),
        },
    )  # fmt: skip
    if is_new:
        publish("fabric", index.collection.name, build.pk)
    return build


def build_index(build: IndexBuild) -> str:
    """Build and measure what was ordered, and say how it ended; safe to call again and at once."""
    collection = build.index.collection
    try:
        with alone(collection.name):
            build.refresh_from_db()
            return _built(collection, build) if build.state == Built.BUILDING else build.state
    except IngestRunning:
        return "another process is at it"
    except IndexBuild.DoesNotExist:
        return "gone"


def _built(collection: Collection, build: IndexBuild) -> str:
    def noted(done: int, _total: int) -> None:
        _save(build, indexed=done)
        if not may_still_need(build.plan):
            raise Unwanted

    try:
        store, spec = store_named(build.index.store), spec_of(collection, build)
        count = fill_index(collection, store, spec, noted=noted)
        truth = read_truth(collection)
        points = measured(store, spec, truth, sample_vectors(collection, truth))
    except Unwanted:
        return "no longer wanted"  # the next sweep drops it
    except StoreError as err:
        ends = {} if isinstance(err, PASSES) else {"state": Built.FAILED}
        _save(build, problem=f"{err.state}: {err.problem}", **ends)
        return str(err)
    best, words = proven(points, collection), _best_words(points, collection)
    _save(
        build, state=Built.BUILT if best else Built.SHORT, indexed=count, built_at=timezone.now(),
        points=[asdict(p) | {"measured_at": timezone.now().isoformat()} for p in points],
        problem="" if best else words,
    )  # fmt: skip
    if not best:
        store.drop(spec)
    return words


def proven(points: list[Point], collection: Collection) -> Point | None:
    """The fastest effort that reaches the target by its bound; the exact search needs no index."""
    able = [p for p in points if p.effort != EXACT]
    return cheapest(able, target=collection.target_recall, limit_ms=collection.limit_ms)


def _best_words(points: list[Point], collection: Collection) -> str:
    able = [p for p in points if p.effort != EXACT]
    best = max(able, key=lambda p: p.recall_lower, default=None)
    if best is None:
        return "it has no effort but the exact search"
    return (
        f"effort {best.effort} finds {best.recall:.4f}, at least {best.recall_lower:.4f} on "
        f"{best.queries} questions, p95 {best.p95_ms:.1f} ms; asked for are "
        f"{collection.target_recall} within {collection.limit_ms} ms"
    )


@transaction.atomic
def switch_to(build: IndexBuild, *, generation: int, plan: str) -> None:
    """Put the other index in the place of the one in use, which is kept; questions see either.

    Done before, it changes nothing.
    """
    index = StoreIndex.objects.select_for_update().get(pk=build.index_id)
    build = IndexBuild.objects.select_for_update().get(pk=build.pk)
    if index.generation == generation or build.generation != generation:
        return
    came = [_row(point) for point in index.points.all()]
    IndexBuild.objects.filter(pk=build.pk).update(
        generation=index.generation, parameters=index.parameters, state=Built.KEPT, points=came,
        indexed=index.indexed, least_effort=index.least_effort, built_at=index.built_at,
    )  # fmt: skip
    StoreIndex.objects.filter(pk=index.pk).update(
        generation=build.generation, parameters=build.parameters, indexed=build.indexed,
        state=StoreIndex.State.READY, problem="", least_effort=build.least_effort,
        built_at=build.built_at, switched_at=timezone.now(),
    )  # fmt: skip
    OperatingPoint.objects.filter(index=index).delete()
    OperatingPoint.objects.bulk_create(
        OperatingPoint(index=index, **{k: v for k, v in row.items() if k != "store"})
        for row in build.points
    )
    publish("fabric", index.collection.name, index.pk)
    record_audit(
        actor="system:fabric", action="fabric.index_switched", object_kind="collection",
        object_id=index.collection.name,
        detail={"store": index.store, "plan": plan, "from": index.parameters,
                "to": build.parameters, "generation": build.generation},
    )  # fmt: skip


def drop_build(build: IndexBuild) -> bool:
    """The index and its row; False where the store does not let it go now."""
    collection = build.index.collection
    try:
        store_named(build.index.store).drop(spec_of(collection, build))
    except StoreError as err:
        log.warning("%s stays behind: %s", build, err)
        return False
    build.delete()
    publish("fabric", collection.name, 0)
    return True


def tend_builds(*, now: datetime) -> list[str]:
    """Everything that is owed: drop what no plan needs, build what is ordered, measure what was
    switched to."""
    said = []
    for build in IndexBuild.objects.select_related("index__collection"):
        if not may_still_need(build.plan):
            said.append(f"{build}: {'dropped' if drop_build(build) else 'to be dropped'}")
        elif build.state == Built.BUILDING:
            said.append(f"{build}: {build_index(build)}")
    return said + [_measured_again(index) for index in _to_measure(now)]


def _to_measure(now: datetime) -> list[StoreIndex]:
    recent = now - timedelta(seconds=settings.ROLLBACK_WITHIN_S)
    switched = StoreIndex.objects.filter(switched_at__gte=recent).select_related("collection")
    found = []
    for index in switched:
        last = index.points.aggregate(last=Max("measured_at"))["last"]
        if last is None or last < index.switched_at or last < now - MEASURED_EVERY:
            found.append(index)
    return found


def _measured_again(index: StoreIndex) -> str:
    collection = index.collection
    try:
        with alone(collection.name):
            truth = read_truth(collection)
            points = measure_index(index, truth, sample_vectors(collection, truth))
    except IngestRunning as err:
        return str(err)
    if points is not None:
        keep_points(index, points)
    publish("fabric", collection.name, index.pk)
    return f"{index}: measured in use"


def points_of(build: IndexBuild) -> list[Point]:
    return [point_of(row) for row in build.points]


def _row(point: OperatingPoint) -> dict[str, Any]:
    names = ("effort", "recall", "recall_lower", "mean_ms", "p50_ms", "p95_ms", "queries")
    return {name: getattr(point, name) for name in names} | {
        "store": point.index.store, "measured_at": point.measured_at.isoformat(),
    }  # fmt: skip


def _save(build: IndexBuild, **fields: object) -> None:
    IndexBuild.objects.filter(pk=build.pk, state=Built.BUILDING).update(**fields)
    publish("fabric", build.index.collection.name, build.pk)
