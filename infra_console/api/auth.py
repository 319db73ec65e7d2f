"""Who calls the API: a signed-in browser or a bearer token, and what they may do."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer, SessionAuth

from infra_console.access.roles import can, role_for
from infra_console.access.services import use_token
from infra_console.api.problems import Problem


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, and the scopes of their token (None in a browser: all that their roles allow)."""

    user: User
    scopes: frozenset[str] | None = None

    def may(self, right: str) -> bool:
        return can(self.user, right) and (self.scopes is None or right in self.scopes)


class BySession(SessionAuth):
    """The browser's session; writes carry the CSRF token."""

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        user = super().authenticate(request, key)
        return Caller(user) if user is not None else None


class ByToken(HttpBearer):
    """A token of `manage.py token_issue`."""

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        found = use_token(token, at=timezone.now())
        return Caller(found.user, frozenset(found.scopes)) if found else None


def require(request: HttpRequest, right: str) -> User:
    """The caller's user, when they hold the right and their token's scopes include it.

    Raises:
        Problem: 403, naming the right and the role that holds it.
    """
    caller: Caller = request.auth  # type: ignore[attr-defined]
    if not caller.may(right):
        whose = "token scope" if can(caller.user, right) else f"role {role_for(right)}"
        raise Problem(
            403, "not-allowed", f"This needs the right {right} ({whose}). Nothing was changed.",
            right=right,
        )  # fmt: skip
    return caller.user
