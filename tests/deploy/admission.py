"""The admission policies in deploy/kubernetes, evaluated as an API server does, with Google's CEL.

A policy is asked when its rules match the operation and resource and all its match conditions
hold; its variables are evaluated when they are used; an expression that fails is a refusal, as
`failurePolicy: Fail` says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

from tests.deploy.test_manifests import documents

EXECUTOR = "system:serviceaccount:infra-console:executor"
NAMES = ("object", "oldObject", "request", "namespaceObject", "params", "variables")


class Broken(Exception):
    """An expression that could not be evaluated."""


@dataclass(frozen=True)
class Review:
    """What a policy is asked about: one update of one object by one identity."""

    group: str
    version: str
    resource: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    user: str = EXECUTOR
    operation: str = "UPDATE"

    def given(self) -> dict[str, Any]:
        """The variables of every expression, as they are before the policy's own."""
        meta = self.new["metadata"]
        kind = {"group": self.group, "version": self.version}
        request = {
            "userInfo": {"username": self.user, "groups": ["system:authenticated"]},
            "operation": self.operation,
            "name": meta["name"],
            "namespace": meta.get("namespace", ""),
            "resource": {**kind, "resource": self.resource},
        }
        space = {"metadata": {"name": meta.get("namespace", "")}} if "namespace" in meta else None
        return {
            "object": self.new,
            "oldObject": self.old,
            "request": request,
            "namespaceObject": space,
            "params": None,
        }


@dataclass
class Variables:
    """A policy's variables for one review, each evaluated when an expression names it."""

    sources: Mapping[str, str]
    given: dict[str, Any]
    known: dict[str, Any] = field(default_factory=dict)

    def value(self, expression: str) -> Any:
        for name, source in self.sources.items():
            if f"variables.{name}" in expression and name not in self.known:
                self.known[name] = self.value(source)
        result = compiled(expression).eval(data={**self.given, "variables": self.known})
        if result.type() == cel.Type.ERROR:
            raise Broken(str(result.value()))
        return result.plain_value()


def refusals(review: Review) -> list[str]:
    """The messages of every policy that refuses; empty when it is let through."""
    return [message for policy in policies() for message in refused_by(policy, review)]


def refused_by(policy: Mapping[str, Any], review: Review) -> Iterator[str]:
    if not concerns(policy, review):
        return
    values = _variables(policy, review)
    for rule in policy["validations"]:
        try:
            if values.value(rule["expression"]) is not True:
                yield _message(values, rule)
        except Broken as err:
            yield f"{rule['expression']}: {err}"


def concerns(policy: Mapping[str, Any], review: Review) -> bool:
    """Whether a policy is asked at all."""
    rules = policy["matchConstraints"]["resourceRules"]
    if not any(_matches(rule, review) for rule in rules):
        return False
    values = _variables(policy, review)
    return all(values.value(c["expression"]) is True for c in policy["matchConditions"])


def policies() -> list[Mapping[str, Any]]:
    return [d["spec"] for d in _documents() if d["kind"] == "ValidatingAdmissionPolicy"]


@cache
def _documents() -> tuple[dict[str, Any], ...]:
    return tuple(documents())


def _matches(rule: Mapping[str, Any], review: Review) -> bool:
    return (
        review.group in rule["apiGroups"]
        and review.version in rule["apiVersions"]
        and review.operation in rule["operations"]
        and review.resource in rule["resources"]
    )


def _variables(policy: Mapping[str, Any], review: Review) -> Variables:
    sources = {v["name"]: v["expression"] for v in policy.get("variables", ())}
    return Variables(sources, review.given())


def _message(values: Variables, rule: Mapping[str, Any]) -> str:
    """As the server words it: the message's expression, or the plain one where that fails."""
    try:
        said = values.value(rule["messageExpression"]) if "messageExpression" in rule else ""
    except Broken:
        said = ""
    text = said if isinstance(said, str) and said.strip() and "\n" not in said else ""
    return text or str(rule["message"])


@cache
def compiled(expression: str) -> Any:
    return _env().compile(expression)


@cache
def _env() -> Any:
    return cel.NewEnv(
        variables=dict.fromkeys(NAMES, cel.Type.DYN),
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
    )
