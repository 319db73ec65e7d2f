"""Users of the demo, and API tokens."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from infra_console.access.errors import ScopeNotHeld, UnknownRole, UnknownScope
from infra_console.access.models import ApiToken
from infra_console.access.roles import roles_of
from infra_console.access.services import (
    create_demo_users,
    issue_token,
    revoke_token,
    use_token,
)
from infra_console.audit.models import AuditRow
from tests.people import person

pytestmark = pytest.mark.django_db


def test_demo_users_are_named_by_their_one_role_and_sign_in_with_their_password(client):
    create_demo_users({"viewer": "a-long-password", "approver": "another-password"})
    assert roles_of(User.objects.get(username="approver")) == {"approver"}
    assert client.login(username="viewer", password="a-long-password")


def test_demo_users_made_again_get_the_new_password_and_stay_one_each(client):
    create_demo_users({"viewer": "first-password"})
    create_demo_users({"viewer": "second-password"})
    assert User.objects.filter(username="viewer").count() == 1
    assert not client.login(username="viewer", password="first-password")
    assert client.login(username="viewer", password="second-password")


def test_a_demo_user_without_a_role_is_refused_and_nobody_is_made():
    with pytest.raises(UnknownRole, match="boss"):
        create_demo_users({"viewer": "x" * 12, "boss": "x" * 12})
    assert not User.objects.exists()


def test_a_person_is_made_with_a_password_and_given_other_roles_without(client):
    out = StringIO()
    call_command("user_add", "ada", "--role", "planner", "--role", "approver", stdout=out)
    password = out.getvalue().strip()
    assert client.login(username="ada", password=password)
    call_command("user_add", "ada", "--role", "operator", stdout=out)
    assert roles_of(User.objects.get(username="ada")) == {"operator"}
    assert client.login(username="ada", password=password)
    rows = AuditRow.objects.filter(object_id="ada").order_by("seq")
    assert [(r.action, r.detail["roles"]) for r in rows] == [
        ("user.created", ["approver", "planner"]), ("user.changed", ["operator"]),
    ]  # fmt: skip
    assert password not in str(list(rows.values()))


def test_a_token_opens_by_its_text_and_the_text_is_nowhere_in_the_row():
    token, text = issue_token(user=person("viewer"), name="ci", scopes=["view"], by="admin")
    assert use_token(text, at=timezone.now()) == token
    row = ApiToken.objects.values().get()
    assert text not in [str(value) for value in row.values()]
    assert text.startswith(row["prefix"])


def test_a_token_expires_and_can_be_revoked_once():
    token, text = issue_token(user=person("viewer"), name="ci", scopes=["view"], by="admin", days=1)
    assert use_token(text, at=timezone.now() + timedelta(days=1, seconds=1)) is None
    assert revoke_token(token.id, by="admin")
    assert not revoke_token(token.id, by="admin")
    assert use_token(text, at=timezone.now()) is None


def test_a_token_of_a_deactivated_user_opens_nothing():
    user = person("viewer")
    _token, text = issue_token(user=user, name="ci", scopes=["view"], by="admin")
    User.objects.filter(id=user.id).update(is_active=False)
    assert use_token(text, at=timezone.now()) is None


def test_use_is_noted_once_a_minute():
    _token, text = issue_token(user=person("viewer"), name="ci", scopes=["view"], by="admin")
    first = timezone.now()
    for seconds in (0, 30, 61):
        use_token(text, at=first + timedelta(seconds=seconds))
        noted = ApiToken.objects.get().last_used_at
        assert noted == first + timedelta(seconds=61 if seconds == 61 else 0)


def test_a_token_cannot_hold_more_than_its_user_or_unknown_rights():
    viewer = person("viewer")
    with pytest.raises(ScopeNotHeld, match=r"plan\.approve"):
        issue_token(user=viewer, name="ci", scopes=["plan.approve"], by="admin")
    with pytest.raises(UnknownScope, match="everything"):
        issue_token(user=viewer, name="ci", scopes=["everything"], by="admin")
    assert not ApiToken.objects.exists()


def test_issuing_and_revoking_leave_audit_rows_without_the_text():
    token, text = issue_token(user=person("viewer"), name="ci", scopes=["view"], by="admin")
    revoke_token(token.id, by="admin")
    rows = AuditRow.objects.filter(object_kind="token").order_by("seq")
    assert [row.action for row in rows] == ["token.issued", "token.revoked"]
    assert text not in str(list(rows.values()))


def test_the_command_prints_a_working_token_and_refuses_strangers():
    person("viewer")
    out = StringIO()
    call_command("token_issue", "viewer", "--name", "ci", stdout=out)
    assert use_token(out.getvalue().strip(), at=timezone.now()) is not None
    with pytest.raises(CommandError, match="no user is called"):
        call_command("token_issue", "stranger", "--name", "ci")


def test_the_commands_list_tokens_without_their_text_and_revoke_one():
    token, text = issue_token(user=person("viewer"), name="ci", scopes=["view"], by="admin")
    out = StringIO()
    call_command("token_list", stdout=out)
    assert f"{token.id} live until" in out.getvalue()
    assert text not in out.getvalue()
    call_command("token_revoke", str(token.id), stdout=out)
    assert use_token(text, at=timezone.now()) is None
    call_command("token_list", stdout=out)
    assert f"{token.id} revoked" in out.getvalue()
    with pytest.raises(CommandError, match="No live token"):
        call_command("token_revoke", str(token.id))
