"""A field that git owns: changed on a branch of its repository, done when its agent applied it
and, for replicas, their pods are ready.

The branch `infra-console/plan-N` carries one commit for each step, with the plan and the step in
its message, so a worker that died after the push finds it there. Merging is the repository's own
affair: the step waits, and asks a person when that takes long. The way back is a revert on the same
branch.

Params: repository (of settings.GIT_REPOSITORIES), file, field (keys from the document's root), from
and to, fact (the fact of the target that shows the field, as `replicas`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from infra_console.cluster.scaling import KINDS as SCALABLE
from infra_console.cluster.scaling import read_scaled
from infra_console.plans.errors import FieldUnusable
from infra_console.plans.facts.drift import facts_of
from infra_console.plans.facts.snapshot import Nodes
from infra_console.plans.models import Plan
from infra_console.plans.repositories.repository import Clone, cloned, repository
from infra_console.plans.repositories.yaml_field import find_field, replace_field
from infra_console.plans.spec import ObjectRef, StepSpec
from infra_console.plans.steps.base import Done, Failed, Outcome, StepContext, Undo, Waiting
from infra_console.plans.steps.looks import Look
from infra_console.plans.steps.ours import has_written

POLL_S = 10.0


class ChangeField:
    """Commit and push one value; done when the object shows it."""

    def run(self, step: StepContext) -> Outcome:
        if not has_written(step):
            try:
                if refusal := _change(step):
                    return refusal
            except FieldUnusable as err:
                return Failed(str(err))
        return _synced(step)

    def rehearse(self, step: StepContext) -> Outcome:
        try:
            refusal = _change(step)
        except FieldUnusable as err:
            return Failed(str(err))
        return refusal or Done(f"the repository would take it on {_branch(step)}")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        params = step.params
        back: dict[str, Any] = {k: params[k] for k in ("repository", "fact") if k in params}
        back |= {"from": params.get("to"), "to": params.get("from")}
        title = f"Revert the change of {step.target.name} in its repository"
        return (Undo("git.revert", title, step.tier, back),)

    def look(self, target: ObjectRef, params: Mapping[str, Any]) -> Look:
        return _look(target, params)


class RevertField:
    """Revert that commit on the same branch; done when the object shows what stood before."""

    def run(self, step: StepContext) -> Outcome:
        if not has_written(step):
            _revert(step)
        return _synced(step)

    def rehearse(self, step: StepContext) -> Outcome:
        return Done("nothing was written, so nothing is reverted")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        return ()

    def look(self, target: ObjectRef, params: Mapping[str, Any]) -> Look:
        return _look(target, params)


def _branch(step: StepContext) -> str:
    number = Plan.objects.values_list("number", flat=True).get(id=step.plan_id)
    return f"infra-console/plan-{number}"


def _lines(step: StepContext, what: str) -> tuple[str, str]:
    """What a commit's message says of the plan and of the step that it is, or reverts."""
    return f"Infra-Console-Plan: {step.plan_id}", f"Infra-Console-{what}"


def _key(step: StepContext) -> str:
    target = step.target
    return f"{target.cluster}/{target.kind}/{target.namespace}/{target.name}/{step.params['fact']}"


def _change(step: StepContext) -> Outcome | None:
    """Commit and push, unless an earlier try did; the refusal when the file is not as relied on."""
    params, lines = step.params, _lines(step, f"Change: {_key(step)}")
    with cloned(repository(params["repository"]), _branch(step)) as copy:
        if commit := copy.find(*lines):
            _written(step, commit)
            return None
        text, where = copy.read(params["file"]), _where(step)
        held = find_field(text, params["field"], **where).value
        if held != str(params["from"]):
            return Failed(
                f"{params['file']} says {held} for {step.target.name}; "
                f"the plan relies on {params['from']}"
            )
        after = replace_field(text, params["field"], str(params["to"]), **where)
        title = f"{step.target.name}: {params['fact']} {params['from']} to {params['to']}"
        commit = copy.commit(params["file"], after, "\n".join((title, "", *lines)))
        _push(step, copy, commit, f"set {step.target.name} to {params['to']}")
        return None


def _revert(step: StepContext) -> None:
    """Revert the commit of the step that is undone, unless an earlier try did."""
    lines = _lines(step, f"Revert: {_key(step)}")
    with cloned(repository(step.params["repository"]), _branch(step)) as copy:
        if commit := copy.find(*lines):
            _written(step, commit)
            return
        written = copy.find(*_lines(step, f"Change: {_key(step)}"))
        if not written:
            return  # it was never pushed
        title = f"Revert: {step.target.name} back to {step.params['to']}"
        commit = copy.revert(written, "\n".join((title, "", *lines)))
        _push(step, copy, commit, f"revert {step.target.name} to {step.params['to']}")


def _push(step: StepContext, copy: Clone, commit: str, what: str) -> None:
    prior = {"value": step.params["from"]}
    if not step.dry_run:
        step.keep_prior(prior)
    step.write(
        f"{what} on {_branch(step)} of {step.params['repository']}",
        lambda: copy.push(dry_run=step.dry_run),
    )
    _written(step, commit)


def _written(step: StepContext, commit: str) -> None:
    if not step.dry_run:
        prior = {"value": step.params["from"], "written": True, "commit": commit}
        step.keep_prior(prior)


def _where(step: StepContext) -> dict[str, str]:
    return {"kind": step.target.kind, "name": step.target.name}


def _stands(target: ObjectRef, params: Mapping[str, Any], tier_key: str = "") -> Any:
    return facts_of(target, Nodes(), tier_key=tier_key).get(params["fact"])


def _synced(step: StepContext) -> Outcome:
    held, to = _stands(step.target, step.params, step.tier_key), step.params["to"]
    if held == to and (lacking := _not_ready(step)):
        return Waiting(lacking, POLL_S)
    if held == to:
        return Done(f"{step.params['fact']} of {step.target.name} is {to}, as its repository says")
    return Waiting(
        f"{step.params['fact']} of {step.target.name} is {held}: waits until {_branch(step)} of "
        f"{step.params['repository']} is merged and synced",
        POLL_S,
    )


def _not_ready(step: StepContext) -> str:
    """What is missing of replicas that git asks for; empty for any other field."""
    target, to = step.target, step.params["to"]
    if step.params["fact"] != "replicas" or target.kind not in SCALABLE:
        return ""
    held = read_scaled(target.cluster, target.kind, target.namespace, target.name)
    if held.observed and held.there == to and held.ready >= to:
        return ""
    return f"{held.ready} of {to} replicas of {target.name} are ready"


def _look(target: ObjectRef, params: Mapping[str, Any]) -> Look:
    held, to = _stands(target, params), params["to"]
    fact = params["fact"]
    problem = "" if held == to else f"{fact} is {held}, planned {to}"
    stops = () if held in (to, params["from"]) else (f"{fact} was set to {held} by somebody else",)
    return Look(f"{fact} {held}", f"{fact} {to}, by its repository", problem=problem, stops=stops)
