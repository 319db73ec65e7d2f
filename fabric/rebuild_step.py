"""An index built anew with other parameters, and put in the place of the one in use.

Params: from and to (build parameters), uid (of the index); restore on the way back. Prior: the
generation and the parameters in use before, and the generation that is built.

The step orders the index and waits: a task builds it beside the one in use (building.py), however
often it is killed, and measures it against the exact answer. One that does not reach the
collection's target is not switched to. The former index is kept for as long as the plan may be
taken back; the way back switches to it again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from celery import current_app
from django.db import transaction

from fabric.building import drop_build, next_generation, order_build, points_of, proven, switch_to
from fabric.core.parameters import parameter_words
from fabric.core.points import Point
from fabric.errors import StoreError
from fabric.models import IndexBuild, StoreIndex
from fabric.ports import Health
from fabric.rebuild_facts import index_at
from fabric.stores import spec_of, store_named
from infra_console.plans.spec import ObjectRef, StepSpec
from infra_console.plans.steps.base import (
    Blocked,
    Done,
    Failed,
    Outcome,
    StepContext,
    Undo,
    Waiting,
)
from infra_console.plans.steps.looks import Look

KIND, TASK = "fabric.rebuild", "fabric.build"
POLL_S = 2.0
Built = IndexBuild.State


class Rebuild:
    """Order, wait, switch; each only where it is not done yet."""

    def run(self, step: StepContext) -> Outcome:
        index = index_at(step.target)
        if step.params["uid"] != str(index.pk):
            return Failed("the collection was taken in anew since the plan was made")
        if step.params.get("restore"):
            return _back(step, index)
        prior = step.prior
        if prior is not None and index.generation == prior["next"]:
            return Done(_in_use(index))
        if prior is None or not index.builds.filter(plan=step.plan_id).exists():
            return _order(step, index)
        if index.generation != prior["generation"]:
            return Failed(f"another index was put in place meanwhile: {_words(index)}")
        return _switch(step, index, index.builds.get(plan=step.plan_id))

    def rehearse(self, step: StepContext) -> Outcome:
        """Whether it could begin; nothing is built."""
        index = index_at(step.target)
        if refusal := _changed(step, index):
            return refusal
        health = _health(index, index)
        if health.state != "ready":
            return Failed(f"{index.store} is {health.state} {health.detail}".strip())
        count = index.collection.documents.count()
        wanted = parameter_words(step.params["to"])
        return Done(f"{count} documents would be indexed with {wanted}, beside the one in use")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        back = {"from": step.params["to"], "to": step.params["from"], "restore": True}
        title = f"Put the former index of {step.target.namespace} in {step.target.name} back"
        return (Undo(KIND, title, step.tier, {"uid": step.params["uid"], **back}),)

    def look(self, target: ObjectRef, params: Mapping[str, Any]) -> Look:
        index = index_at(target)
        now, then = _words(index), parameter_words(params["to"])
        if params.get("restore"):
            return _look_back(index, params.get("prior") or {}, now, then)
        if dict(index.parameters) != dict(params["to"]):
            return Look(now, then, problem=f"it is built with {now}, planned {then}")
        health = _health(index, index)
        sound = health.state == "ready"
        return Look(now, then, problem="" if sound else f"{health.state} {health.detail}".strip())


def _changed(step: StepContext, index: StoreIndex) -> Failed | None:
    if dict(index.parameters) == dict(step.params["from"]):
        return None
    wanted = parameter_words(step.params["from"])
    return Failed(f"it is built with {_words(index)}, the plan relies on {wanted}")


def _order(step: StepContext, index: StoreIndex) -> Outcome:
    if refusal := _changed(step, index):
        return refusal
    prior = step.prior or {
        "generation": index.generation, "parameters": index.parameters,
        "next": next_generation(index),
    }  # fmt: skip
    step.keep_prior(prior)

    def order() -> None:
        with transaction.atomic():
            order_build(
                index, plan=step.plan_id, generation=prior["next"], parameters=step.params["to"]
            )
            transaction.on_commit(_call_builder, robust=True)

    wanted = parameter_words(step.params["to"])
    step.write(f"build {index.collection.name} in {index.store} with {wanted}", order)
    return Waiting("ordered; a worker builds it beside the one in use", POLL_S)


def _switch(step: StepContext, index: StoreIndex, build: IndexBuild) -> Outcome:
    if build.state == Built.BUILDING:
        count = index.collection.documents.count()
        words = f"{build.indexed} of {count} documents are indexed"
        return Waiting(f"{words}; {build.problem}" if build.problem else words, POLL_S)
    if build.state != Built.BUILT:
        return Failed(f"it was not put in place: {build.problem}")

    def switch() -> None:
        with transaction.atomic():
            switch_to(build, generation=build.generation, plan=step.plan_id)
            transaction.on_commit(_call_builder, robust=True)

    best = proven(points_of(build), index.collection)
    step.write(f"switch {index.collection.name} in {index.store} to it", switch)
    index.refresh_from_db()
    return Done(_in_use(index, best))


def _back(step: StepContext, index: StoreIndex) -> Outcome:
    """To the former index; where that was never left, the new one is only dropped."""
    prior, build = step.params["prior"], index.builds.filter(plan=step.plan_id).first()
    if index.generation == prior["generation"]:
        if build is not None and not _drop(step, build):
            return Waiting(f"{index.store} does not let the new index go", POLL_S)
        return Done(f"the index before is in use: {_words(index)}")
    if index.generation != prior["next"]:
        return Blocked(f"another index was put in place since: {_words(index)}")
    if build is None or build.state != Built.KEPT:
        return Blocked("the former index is no longer there; propose a plan that builds it again")
    health = _health(index, build)
    if health.state != "ready":
        return Blocked(f"the former index is {health.state} {health.detail}".strip())
    step.write(
        f"switch {index.collection.name} in {index.store} back",
        lambda: switch_to(build, generation=prior["generation"], plan=step.plan_id),
    )
    index.refresh_from_db()
    return Done(f"the index before is in use again: {_words(index)}")


def _drop(step: StepContext, build: IndexBuild) -> bool:
    return step.write(f"drop the index that was built in {build.index.store}",
                      lambda: drop_build(build))  # fmt: skip


def _look_back(index: StoreIndex, prior: Mapping[str, Any], now: str, then: str) -> Look:
    kept = index.builds.filter(generation=prior.get("generation", -1), state=Built.KEPT).first()
    if index.generation == prior.get("generation"):
        return Look(now, then)
    stops = () if kept else ("the former index is no longer there",)
    return Look(now, then, stops=stops)


def _health(index: StoreIndex, which: StoreIndex | IndexBuild) -> Health:
    try:
        return store_named(index.store).health(spec_of(index.collection, which))
    except StoreError as err:
        return Health(err.state, None, err.problem)


def _words(index: StoreIndex) -> str:
    return parameter_words(index.parameters)


def _in_use(index: StoreIndex, best: Point | None = None) -> str:
    proof = (
        f"; effort {best.effort} finds {best.recall:.4f}, at least {best.recall_lower:.4f} of the "
        f"exact answer on {best.queries} questions"
        if best else ""
    )  # fmt: skip
    return f"{_words(index)} is in use, {index.indexed} documents{proof}"


def _call_builder() -> None:
    """A hint: what it misses, the next round of the task makes up for."""
    current_app.send_task(TASK, expires=60.0, retry=False)
