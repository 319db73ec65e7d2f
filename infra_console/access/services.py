"""The one writer of people and tokens."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from infra_console.access.errors import ScopeNotHeld, UnknownRole, UnknownScope
from infra_console.access.models import ApiToken
from infra_console.access.roles import RIGHTS, ROLES, rights_of
from infra_console.audit.services import record_audit

TOKEN_MARK = "ic_"  # noqa: S105  lets secret scanners recognise a leaked token
PREFIX_LENGTH = 10
LAST_USE_RESOLUTION = timedelta(minutes=1)  # a busy token must not write a row per request


@transaction.atomic
def create_demo_users(passwords: Mapping[str, str]) -> None:
    """Make one user per role, named by it, with these passwords; existing ones are updated.

    Raises:
        UnknownRole: a name is not a role; nobody was made.
    """
    for role, password in passwords.items():
        save_user(role, roles=[role], by="system:demo", password=password)


@transaction.atomic
def save_user(username: str, *, roles: Sequence[str], by: str, password: str = "") -> None:
    """Make a person, or change one, to hold exactly these roles; an empty password changes none.

    Raises:
        UnknownRole: a name is not a role; nothing was changed.
    """
    if unknown := sorted(set(roles) - set(ROLES)):
        raise UnknownRole(unknown)
    user, is_new = User.objects.get_or_create(
        username=username, defaults={"password": make_password(None)}
    )
    if password:
        user.set_password(password)
        user.is_active = True
        user.save(update_fields=["password", "is_active"])
    user.groups.set(Group.objects.get_or_create(name=role)[0] for role in roles)
    action, detail = "user.created" if is_new else "user.changed", {"roles": sorted(roles)}
    record_audit(actor=by, action=action, object_kind="user", object_id=username, detail=detail)


@transaction.atomic
def issue_token(
    *, user: User, name: str, scopes: Sequence[str], by: str, days: int = 90
) -> tuple[ApiToken, str]:
    """A new token and its text, which is shown once and never stored.

    Raises:
        UnknownScope, ScopeNotHeld: see there; nothing was written.
    """
    wanted = sorted(set(scopes))
    if unknown := [s for s in wanted if s not in RIGHTS]:
        raise UnknownScope(unknown)
    if not_held := [s for s in wanted if s not in rights_of(user)]:
        raise ScopeNotHeld(user.get_username(), not_held)
    text = TOKEN_MARK + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        name=name,
        user=user,
        prefix=text[:PREFIX_LENGTH],
        token_sha256=_digest(text),
        scopes=wanted,
        expires_at=timezone.now() + timedelta(days=days),
    )
    _record(token, action="token.issued", by=by)
    return token, text


@transaction.atomic
def revoke_token(token_id: int, *, by: str) -> bool:
    """End a token now; False when it was already revoked or never existed."""
    live = ApiToken.objects.filter(id=token_id, revoked_at=None)
    if not live.update(revoked_at=timezone.now()):
        return False
    _record(ApiToken.objects.get(id=token_id), action="token.revoked", by=by)
    return True


def use_token(text: str, *, at: datetime) -> ApiToken | None:
    """The live token with this text, noting its use; None when it opens nothing."""
    tokens = ApiToken.objects.select_related("user").filter(
        token_sha256=_digest(text), revoked_at=None, expires_at__gt=at, user__is_active=True
    )
    token = tokens.first()
    if token is not None:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=at - LAST_USE_RESOLUTION)
        ApiToken.objects.filter(stale, id=token.id).update(last_used_at=at)
    return token


def _digest(text: str) -> str:
    """Tokens carry 256 random bits, so a plain hash is as good as a slow one."""
    return hashlib.sha256(text.encode()).hexdigest()


def _record(token: ApiToken, *, action: str, by: str) -> None:
    record_audit(
        actor=by,
        action=action,
        object_kind="token",
        object_id=str(token.id),
        detail={"name": token.name, "user": token.user.get_username(), "scopes": token.scopes},
    )
