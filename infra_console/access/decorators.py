"""Views say which right they need; without it they answer 403 and name it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from infra_console.access.roles import RIGHTS, missing_right

View = Callable[..., HttpResponseBase]


def needs(right: str) -> Callable[[View], View]:
    """Only people who hold the right get to the view; anonymous people never get this far."""
    if right not in RIGHTS:
        raise ValueError(f"no role knows the right {right!r}")

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if lacks := missing_right(request.user, right):
                raise PermissionDenied(lacks)
            return view(request, *args, **kwargs)

        return guarded

    return decorate
