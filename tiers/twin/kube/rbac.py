"""Rights as RBAC writes them: rules that allow, and nothing that denies."""

from dataclasses import dataclass

from tiers.twin.kube.resources import Obj

READ_VERBS = ("get", "list", "watch")
WRITE_VERBS = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True)
class Rule:
    """Verbs on resources (`pods`, `deployments/scale`, `*`) of API groups.

    With `namespaces` it holds in those alone, as a RoleBinding's; with `names`, for those objects.
    """

    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    api_groups: tuple[str, ...] = ("",)
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def allows(self, asked: "Asked") -> bool:
        whole = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
        wild = f"*/{asked.subresource}" if asked.subresource else "*"
        return (
            _named(self.verbs, asked.verb)
            and _named(self.api_groups, asked.group)
            and (_named(self.resources, whole) or wild in self.resources)
            and (not self.namespaces or asked.namespace in self.namespaces)
            and (not self.names or asked.name in self.names)
        )

    def to_dict(self) -> Obj:
        """As SelfSubjectRulesReview lists it."""
        rule: Obj = {
            "verbs": list(self.verbs),
            "apiGroups": list(self.api_groups),
            "resources": list(self.resources),
        }
        return rule | ({"resourceNames": list(self.names)} if self.names else {})


@dataclass(frozen=True)
class Asked:
    """What a request, or an access review, wants to do."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""


def _named(words: tuple[str, ...], word: str) -> bool:
    return "*" in words or word in words


EVERYTHING = Rule(verbs=("*",), api_groups=("*",), resources=("*",))
READING = Rule(verbs=READ_VERBS, api_groups=("*",), resources=("*",))
SELF_REVIEWS = Rule(
    verbs=("create",),
    api_groups=("authorization.k8s.io", "authentication.k8s.io"),
    resources=("selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"),
)
"""What Kubernetes grants to everybody who is signed in."""
