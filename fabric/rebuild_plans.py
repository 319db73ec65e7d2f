"""A proposal to build an index anew with other parameters, as a plan like any other."""

from datetime import datetime

from django.contrib.auth.models import User
from django.utils import timezone

from fabric.building import proven
from fabric.core.errors import FabricInvalid
from fabric.core.parameters import Parameters, checked_parameters, parameter_words, usual
from fabric.core.points import Point
from fabric.errors import UnknownCollection
from fabric.models import Collection, StoreIndex
from fabric.rebuild_facts import DOMAIN, index_facts, target_of
from fabric.rebuild_step import KIND
from fabric.stores import store_named
from infra_console.plans.models import Plan
from infra_console.plans.safety import require_right
from infra_console.plans.services import propose_plan
from infra_console.plans.spec import (
    Evidence,
    Lock,
    Move,
    PlanSpec,
    Precondition,
    Promise,
    StepSpec,
)

TIER = "operational"  # what builds of indexes count as
READING = "fabric_recall_lower"


def propose_rebuild(collection: str, store: str, parameters: Parameters, *, by: User) -> Plan:
    """Put the rebuild of one index under review, in that person's name.

    Raises:
        NotAllowed, UnknownCollection, FabricInvalid, StoreError: nothing was changed.
    """
    require_right(by, "plan.propose")
    index = _index(collection, store)
    bounds = store_named(store).parameters
    wanted = checked_parameters(bounds, parameters)
    if not bounds:
        raise FabricInvalid(store, "it builds nothing that could be built otherwise")
    if wanted == usual(bounds) | index.parameters:
        raise FabricInvalid("parameters", f"it is built with {parameter_words(wanted)} already")
    spec = rebuild_spec(index, wanted, at=timezone.now())
    return propose_plan(spec, authors=[by.get_username()])


def _index(collection: str, store: str) -> StoreIndex:
    if not Collection.objects.filter(name=collection).exists():
        raise UnknownCollection(collection)
    held = StoreIndex.objects.filter(collection__name=collection, store=store)
    index = held.select_related("collection").first()
    if index is None:
        raise FabricInvalid("store", f"{collection} is not indexed in {store!r}")
    if index.collection.state != Collection.State.READY or index.state != StoreIndex.State.READY:
        raise FabricInvalid("store", f"{collection} in {store} is not ready: ingest it first")
    return index


def rebuild_spec(index: StoreIndex, wanted: dict[str, int], *, at: datetime) -> PlanSpec:
    """The plan: one step, what it relies on, and what the new index must be measured to find."""
    target, name = target_of(index), index.collection.name
    points = [Point(index.store, p.effort, p.recall, p.recall_lower, p.mean_ms, p.p50_ms, p.p95_ms,
                    p.queries) for p in index.points.all()]  # fmt: skip
    measured_at = max((p.measured_at for p in index.points.all()), default=None)
    words = parameter_words(wanted)
    return PlanSpec(
        schema="plan/1",
        domain=DOMAIN,
        title=f"Build {name} in {index.store} anew: {words}",
        summary=_summary(index, words),
        moves=(_move(index, words, proven(points, index.collection)),),
        steps=(
            StepSpec(
                key=f"{name}/{index.store}/{KIND}",
                kind=KIND,
                title=f"Build {name} in {index.store} with {words} and switch to it",
                target=target,
                tier=TIER,
                wave=0,
                params={"from": index.parameters, "to": wanted, "uid": str(index.pk)},
            ),
        ),
        locks=(Lock(cluster=target.cluster, tier=TIER),),
        guards=(),
        promises=(_promise(index),),
        preconditions=(Precondition(target=target, facts=dict(index_facts(target))),),
        evidence=Evidence(
            cycle_id="",
            taken_at=at,
            ages_s={"operating points": (at - measured_at).total_seconds()} if measured_at else {},
            states={},
        ),
    )


def _summary(index: StoreIndex, words: str) -> str:
    count, dimension = index.collection.documents.count(), index.collection.dimension
    mib = count * dimension * 4 / 2**20
    return (
        f"{count} documents are indexed with {words} beside the index in use, which goes on "
        f"answering. It is put in place only where an effort of it is measured to find at least "
        f"{index.collection.target_recall} of the exact answer with 95 % confidence, within "
        f"{index.collection.limit_ms} ms. The former index stays for the way back. Until then both "
        f"take room: {mib:.1f} MiB of vectors each, and their graphs."
    )


def _move(index: StoreIndex, words: str, best: Point | None) -> Move:
    now = (
        f"effort {best.effort} is the fastest of it that reaches {index.collection.target_recall}: "
        f"{best.mean_ms:.2f} ms"
        if best else f"no effort of it reaches {index.collection.target_recall}"
    )  # fmt: skip
    reason = f"asked for by its author; as built now ({parameter_words(index.parameters)}), {now}"
    return Move(
        kind="rebuild", target=target_of(index), pool=index.store, workload=words, gpus=0,
        reason=reason,
    )  # fmt: skip


def _promise(index: StoreIndex) -> Promise:
    name, store = index.collection.name, index.store
    return Promise(
        title=f"What {name} in {store} finds of the ten nearest, at least",
        query=READING,
        labels={"collection": name, "store": store},
        op=">=",
        bound=index.collection.target_recall,
        unit="ratio",
        aggregate="last",
        verifies=True,
    )
