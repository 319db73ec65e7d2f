"""Who may do what: bearer tokens of named accounts, read-only or full, and the access reviews."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from tiers.twin.kube.errors import ApiError, unauthorized
from tiers.twin.kube.resources import REGISTRY, Obj, Resource

READ_VERBS = ("get", "list", "watch")
WRITE_VERBS = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True)
class Account:
    """One bearer token: the user's name, and whether it may write."""

    name: str
    token: str = field(repr=False)
    may_write: bool


def authenticate(accounts: Iterable[Account], header: str | None) -> Account:
    """The account of an Authorization header. Raises a 401."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() == "bearer" and token:
        for account in accounts:
            if hmac.compare_digest(account.token.encode(), token.strip().encode()):
                return account
    raise unauthorized()


def may(account: Account, verb: str, group: str = "") -> bool:
    return account.may_write or verb in READ_VERBS or group == "authorization.k8s.io"


def authorize(
    account: Account, verb: str, resource: Resource, subresource: str, *, namespace: str, name: str
) -> None:
    """Raise the 403 that RBAC answers with when the account may not do this."""
    if may(account, verb):
        return
    plural = f"{resource.plural}/{subresource}" if subresource else resource.plural
    shown = f"{plural}.{resource.group}" if resource.group else plural
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    quoted = f' "{name}"' if name else ""
    message = (
        f'{shown}{quoted} is forbidden: User "{account.name}" cannot {verb} resource "{plural}" '
        f'in API group "{resource.group}" {where}'
    )
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    raise ApiError(403, "Forbidden", message, {k: v for k, v in details.items() if v})


def self_subject_access_review(account: Account, body: Obj) -> Obj:
    """Answer `kubectl auth can-i` for one verb."""
    asked = (body.get("spec") or {}).get("resourceAttributes") or {}
    allowed = may(account, str(asked.get("verb", "")), str(asked.get("group", "")))
    reason = "" if allowed else f'User "{account.name}" is read-only'
    status = {"allowed": allowed} | ({"reason": reason} if reason else {})
    return {**body, "metadata": {}, "status": status}


def self_subject_rules_review(account: Account, body: Obj) -> Obj:
    """Answer `kubectl auth can-i --list`."""
    verbs = [*READ_VERBS, *WRITE_VERBS] if account.may_write else list(READ_VERBS)
    groups = sorted({r.group for r in REGISTRY.resources})
    rules = [{"verbs": verbs, "apiGroups": groups, "resources": ["*"]}]
    status = {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}
    return {**body, "metadata": {}, "status": status}
