"""Who may do what: the one table of roles and rights.

A user's roles are the names of their groups. Screens, API, sockets and services ask `can`; none
keeps a rule of its own. That an author may not approve their own plan is a rule about the plan,
not about a role, and lives with the plans.
"""

from collections.abc import Mapping
from typing import Literal

from django.contrib.auth.models import AnonymousUser, User

Right = Literal[
    "view",
    "plan.propose",
    "plan.withdraw",
    "plan.approve",
    "plan.reject",
    "plan.comment",
    "plan.break_glass",
    "freeze.manage",
    "envelope.manage",
    "fleet.manage",
    "forecast.manage",
    "execution.control",
    "cluster.arm",
    "cluster.take_over",
    "killswitch",
    "source.manage",
    "report.manage",
    "token.manage",
    "user.manage",
]
Person = User | AnonymousUser

ROLES: Mapping[str, frozenset[Right]] = {
    "viewer": frozenset({"view"}),
    "planner": frozenset(
        {"view", "plan.propose", "plan.withdraw", "plan.comment", "forecast.manage"}
    ),
    "approver": frozenset(
        {"view", "plan.approve", "plan.reject", "plan.comment", "envelope.manage"}
    ),
    "operator": frozenset(
        {"view", "plan.comment", "execution.control", "cluster.arm", "killswitch"}
    ),
    "admin": frozenset(
        {
            "view",
            "plan.propose",
            "plan.withdraw",
            "plan.approve",
            "plan.reject",
            "plan.comment",
            "plan.break_glass",
            "freeze.manage",
            "envelope.manage",
            "fleet.manage",
            "forecast.manage",
            "execution.control",
            "cluster.arm",
            "cluster.take_over",
            "killswitch",
            "source.manage",
            "report.manage",
            "token.manage",
            "user.manage",
        }
    ),
}
RIGHTS: frozenset[str] = frozenset().union(*ROLES.values())


def roles_of(user: Person) -> frozenset[str]:
    """The role names a person holds; none for anonymous and deactivated people.

    Read once per user object, which lives as long as one request.
    """
    if not (user.is_authenticated and user.is_active):
        return frozenset()
    cached: frozenset[str] | None = getattr(user, "_role_names", None)
    if cached is None:
        names = set(user.groups.values_list("name", flat=True)) & set(ROLES)
        cached = frozenset(names | {"admin"} if user.is_superuser else names)
        vars(user)["_role_names"] = cached
    return cached


def rights_of(user: Person) -> frozenset[str]:
    return frozenset().union(*(ROLES[role] for role in roles_of(user)))


def can(user: Person, right: str) -> bool:
    """Whether a person holds a right.

    Raises:
        ValueError: no role knows the right, which is a mistake in the code that asks.
    """
    if right not in RIGHTS:
        raise ValueError(f"no role knows the right {right!r}")
    return right in rights_of(user)


def role_for(right: str) -> str:
    """The narrowest role that holds a right: whom to ask."""
    return min((role for role in ROLES if right in ROLES[role]), key=lambda r: len(ROLES[r]))


def missing_right(user: Person, right: str) -> str:
    """What a person lacks, in words for a screen; empty when they hold the right."""
    return "" if can(user, right) else f"needs the right {right} (role {role_for(right)})"
