"""By what the replicas of a workload are moved, decided by who owns their number.

An autoscaler's bounds are permissions: a growth raises its minimum, and a shrink is its own affair,
so nothing that it may free is counted on. What a GitOps agent applies comes back, so it is changed
in its repository where the fleet file says where, and left alone elsewhere. A numbered set loses
its highest numbers, whoever runs there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tiers.core.fleet_state import DeploymentView

# Field managers that apply what a repository holds, and apply it again.
GIT_AGENTS = ("argocd", "argo-cd", "kustomize-controller", "helm-controller", "fleetagent",
              "configsync", "infra-console-git")  # fmt: skip
Way = Literal["scale", "ordinal", "bounds", "git", "owned"]


@dataclass(frozen=True, slots=True)
class Actuator:
    """How replicas are moved; `owner` says in words who owns their number, empty when nobody."""

    way: Way
    owner: str = ""


def actuator_of(view: DeploymentView) -> Actuator:
    scaler = view.autoscaler
    if scaler is not None:
        words = f"{scaler.kind} {scaler.name}"
        if scaler.paused:
            return Actuator("owned", f"{words}, which is paused")
        if scaler.owners:
            return Actuator("owned", f"{words}, whose bounds {', '.join(scaler.owners)} owns")
        return Actuator("bounds", words)
    if agent := git_agent(view.owners):
        return Actuator("git" if view.git else "owned", agent)
    return Actuator("ordinal" if is_numbered(view) else "scale")


def is_numbered(view: DeploymentView) -> bool:
    """Whether its highest numbers leave first, by whatever way its replicas are moved."""
    return view.kind != "Deployment"


def git_agent(owners: Iterable[str]) -> str:
    """The first of these managers that applies from a repository; empty when none does."""
    return next((o for o in sorted(owners) if o.lower().startswith(GIT_AGENTS)), "")


def steered(
    views: Iterable[DeploymentView], deltas: Mapping[str, int]
) -> tuple[dict[str, int], list[str]]:
    """The deltas that a plan can bring about, and in words who decides about the others."""
    left, notes = dict(deltas), []
    for view in views:
        delta, actuator = deltas.get(view.workload, 0), actuator_of(view)
        if delta and not _can_be_moved(view, actuator.way, delta):
            del left[view.workload]
            notes.append(
                f"{view.name}: {delta:+d} was left out, its replicas are owned by {actuator.owner}"
            )
    return left, notes


def _can_be_moved(view: DeploymentView, way: Way, delta: int) -> bool:
    """An autoscaler shrinks when it wants to; git cannot choose which pod of a Deployment goes."""
    if way == "owned":
        return False
    unchosen = way == "bounds" or (way == "git" and view.kind == "Deployment")
    return delta > 0 or not unchosen


def who_leaves(view: DeploymentView, to_replicas: int) -> tuple[str, ...]:
    """The replicas that a numbered set loses, the highest first, by name."""
    numbers = range(view.first + to_replicas, view.first + view.replicas)
    return tuple(f"{view.name}-{n}" for n in reversed(numbers))
