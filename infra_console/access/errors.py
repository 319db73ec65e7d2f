"""What can be wrong with people, rights and tokens."""


class AccessError(Exception):
    """Base of this package's errors."""


class UnknownRole(AccessError):
    """A person was to get roles that the table does not have; nothing was changed."""

    def __init__(self, roles: list[str]) -> None:
        super().__init__(f"There is no role {', '.join(roles)}; nothing was changed.")


class UnknownScope(AccessError):
    """A token was asked for rights that no role knows; no token was made."""

    def __init__(self, scopes: list[str]) -> None:
        super().__init__(f"No role knows the scope {', '.join(scopes)}; no token was made.")


class ScopeNotHeld(AccessError):
    """A token was asked for rights that its user does not hold; no token was made."""

    def __init__(self, username: str, scopes: list[str]) -> None:
        super().__init__(
            f"{username} does not hold {', '.join(scopes)}; no token was made. "
            "A token cannot do more than its user."
        )
