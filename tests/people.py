"""People of the tests: one user per role, and one without any."""

from django.contrib.auth.models import Group, User


def person(*roles: str, name: str = "") -> User:
    """A saved user who holds these roles; named by them unless `name` is given."""
    # No password: hashing one takes most of a second here, and force_login asks for none.
    user = User.objects.create(username=name or "-".join(roles) or "nobody")
    user.groups.set(Group.objects.get_or_create(name=role)[0] for role in roles)
    return user
