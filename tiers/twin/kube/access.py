"""Who may do what: bearer tokens of named accounts with their rights, and the access reviews."""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tiers.twin.kube.errors import ApiError, invalid, unauthorized
from tiers.twin.kube.rbac import EVERYTHING, READING, SELF_REVIEWS, Asked, Rule
from tiers.twin.kube.resources import Obj, Resource
from tiers.twin.kube.values import bad

SIGNED_IN = "system:authenticated"
_ACCESS_REVIEW = Resource(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", False
)


@dataclass(frozen=True)
class Account:
    """One bearer token: the user's name, and its rights.

    Without `rules` it reads everything, and with `may_write` it writes everything too.
    """

    name: str
    token: str = field(repr=False)
    may_write: bool
    rules: tuple[Rule, ...] | None = None
    groups: tuple[str, ...] = (SIGNED_IN,)

    def rights(self) -> tuple[Rule, ...]:
        if self.rules is not None:
            return (*self.rules, SELF_REVIEWS)
        return (EVERYTHING if self.may_write else READING, SELF_REVIEWS)

    def may(self, asked: Asked) -> bool:
        return any(rule.allows(asked) for rule in self.rights())


def authenticate(accounts: Iterable[Account], header: str | None) -> Account:
    """The account of an Authorization header. Raises a 401."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() == "bearer" and token:
        for account in accounts:
            if hmac.compare_digest(account.token.encode(), token.strip().encode()):
                return account
    raise unauthorized()


def impersonated(
    account: Account, accounts: Iterable[Account], user: str, groups: Sequence[str]
) -> Account:
    """The account that a request is made as. Raises a 403 where this one may not be another.

    A user that has no account here has no rights but those of everybody.
    """
    for plural, name in (("users", user), *(("groups", group) for group in groups)):
        if not account.may(Asked("impersonate", "", plural, name=name)):
            message = (
                f'{plural} "{name}" is forbidden: User "{account.name}" cannot impersonate '
                f'resource "{plural}" in API group "" at the cluster scope'
            )
            raise ApiError(403, "Forbidden", message, {"name": name, "kind": plural})
    for known in accounts:
        if known.name == user:
            return known
    held = (*groups, *(() if SIGNED_IN in groups else (SIGNED_IN,)))
    return Account(user, token="", may_write=False, rules=(), groups=held)


def authorize(
    account: Account, verb: str, resource: Resource, subresource: str, *, namespace: str, name: str
) -> None:
    """Raise the 403 that RBAC answers with when the account may not do this."""
    asked = Asked(verb, resource.group, resource.plural, subresource, namespace, name)
    if account.may(asked):
        return
    plural = f"{resource.plural}/{subresource}" if subresource else resource.plural
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    quoted = f' "{name}"' if name else ""
    message = (
        f'{resource.qualified}{quoted} is forbidden: User "{account.name}" cannot {verb} resource '
        f'"{plural}" in API group "{resource.group}" {where}'
    )
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    raise ApiError(403, "Forbidden", message, {k: v for k, v in details.items() if v})


def self_subject_access_review(account: Account, body: Obj) -> Obj:
    """Answer `kubectl auth can-i` for one verb."""
    spec = body.get("spec") or {}
    given = [key for key in ("resourceAttributes", "nonResourceAttributes") if spec.get(key)]
    if len(given) != 1:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid(_ACCESS_REVIEW, "", [bad("spec.resourceAttributes", None, why)])
    allowed = _allowed(account, spec)
    reason = f'RBAC: allowed by the rights of User "{account.name}"' if allowed else ""
    status = {"allowed": allowed} | ({"reason": reason} if reason else {})
    return _answered("SelfSubjectAccessReview", body, status)


def _allowed(account: Account, spec: Obj) -> bool:
    if "nonResourceAttributes" in spec:
        return (spec["nonResourceAttributes"] or {}).get("verb") == "get"
    asked = {k: str(v or "") for k, v in (spec.get("resourceAttributes") or {}).items()}
    return account.may(
        Asked(
            asked.get("verb", ""), asked.get("group", ""), asked.get("resource", ""),
            asked.get("subresource", ""), asked.get("namespace", ""), asked.get("name", ""),
        )
    )  # fmt: skip


def self_subject_rules_review(account: Account, body: Obj) -> Obj:
    """Answer `kubectl auth can-i --list` for a namespace."""
    namespace = (body.get("spec") or {}).get("namespace", "")
    rules = [
        rule.to_dict()
        for rule in account.rights()
        if not rule.namespaces or namespace in rule.namespaces
    ]
    urls = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/readyz", "/version"]
    status = {
        "resourceRules": rules,
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": urls}],
        "incomplete": False,
    }
    return _answered("SelfSubjectRulesReview", body, status)


def self_subject_review(account: Account, body: Obj) -> Obj:
    """Answer `kubectl auth whoami`."""
    info = {"username": account.name, "groups": list(account.groups)}
    return _answered("SelfSubjectReview", body, {"userInfo": info})


def _answered(kind: str, body: Obj, status: Obj) -> Obj:
    group = "authentication" if kind == "SelfSubjectReview" else "authorization"
    shape = {"kind": kind, "apiVersion": f"{group}.k8s.io/v1", "metadata": {}}
    return shape | ({"spec": body["spec"]} if "spec" in body else {}) | {"status": status}
