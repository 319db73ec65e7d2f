"""Callers of the HTTP API."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from infra_console.access.services import issue_token
from tests.people import person


@pytest.fixture
def caller() -> Callable[..., Client]:
    """A client that sends a token of a new user with these roles, within `scopes`."""

    def make(*roles: str, scopes: list[str], **words: Any) -> Client:
        user = person(*roles, **words)
        _token, text = issue_token(user=user, name="test", scopes=scopes, by="test")
        return Client(headers={"Authorization": f"Bearer {text}"})

    return make
