"""What a demo has that a real console has not: known users, and clusters armed from the start."""

from pathlib import Path

from django.contrib.auth.models import User

from infra_console.access.roles import ROLES
from infra_console.access.services import create_demo_users
from infra_console.embedded.private import new_password, write_private
from infra_console.fleet.queries import list_clusters
from infra_console.plans import services as plans
from infra_console.plans.safety import MAX_ARMED_HOURS

TIERS = ("inference", "training", "operational")


def ensure_demo_users(users_file: Path) -> bool:
    """Make one user per role and keep their passwords in a private file; False when it exists."""
    if users_file.exists():
        return False
    passwords = {role: new_password() for role in ROLES}
    create_demo_users(passwords)
    width = max(map(len, passwords))
    lines = [f"  {role:<{width}}  {password}" for role, password in passwords.items()]
    write_private(users_file, "\n".join(lines) + "\n")
    return True


def arm_demo_clusters() -> int:
    """Let plans move capacity everywhere, in the operator's name; how many pairs were armed.

    For as long as there is: a demo that runs longer shows the expiry.
    """
    operator = User.objects.get(username="operator")
    pairs = [(cluster.id, tier) for cluster in list_clusters() for tier in TIERS]
    for cluster_id, tier in pairs:
        plans.arm(cluster_id, tier, by=operator, hours=MAX_ARMED_HOURS)
    return len(pairs)
