"""What a demo has that a real console has not: known users, and clusters armed from the start."""

from pathlib import Path

from infra_console.access.roles import ROLES
from infra_console.access.services import create_demo_users
from infra_console.embedded.private import new_password, write_private


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
