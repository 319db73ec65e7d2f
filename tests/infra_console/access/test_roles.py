"""The one table of roles and rights."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User

from infra_console.access.roles import RIGHTS, ROLES, can, missing_right, role_for
from tests.people import person

pytestmark = pytest.mark.django_db


def test_every_role_sees_and_only_admin_holds_every_right():
    assert all("view" in rights for rights in ROLES.values())
    assert [role for role, rights in ROLES.items() if rights == RIGHTS] == ["admin"]


def test_proposing_approving_and_operating_are_three_different_peoples_work():
    for right in ("plan.propose", "plan.approve", "cluster.arm"):
        holders = {role for role in ROLES if right in ROLES[role]} - {"admin"}
        assert len(holders) == 1


def test_migrate_makes_a_group_per_role():
    assert set(ROLES) <= set(Group.objects.values_list("name", flat=True))


def test_a_person_holds_the_rights_of_all_their_roles_and_no_others():
    user = person("planner", "approver")
    assert can(user, "plan.propose")
    assert can(user, "plan.approve")
    assert not can(user, "cluster.arm")


def test_a_missing_right_names_itself_and_the_role_to_ask():
    assert missing_right(person("viewer"), "plan.approve") == (
        "needs the right plan.approve (role approver)"
    )
    assert role_for("killswitch") == "operator"
    assert missing_right(person("approver"), "plan.approve") == ""


def test_anonymous_and_deactivated_people_hold_nothing():
    gone = person("admin")
    gone.is_active = False
    assert not can(AnonymousUser(), "view")
    assert not can(gone, "view")


def test_a_group_that_is_no_role_gives_nothing():
    user = person()
    user.groups.add(Group.objects.create(name="lunch club"))
    assert not can(user, "view")


def test_a_superuser_is_an_admin():
    assert can(User.objects.create_superuser("root", password="x" * 16), "user.manage")


def test_asking_for_a_right_that_no_role_knows_is_a_mistake():
    with pytest.raises(ValueError, match="no role knows"):
        can(person("admin"), "plan.aprove")
