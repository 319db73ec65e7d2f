"""One way to answer with a page or with the part of it that htmx asked for.

A part is a template that the page includes, so the first load and every live update show the
same thing. Values that are costly are given as functions: only the parts that use one pay for it.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from infra_console.access.requests import PageRequest
from infra_console.overview.scope import scope_of


def render_page(
    request: PageRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    parts: Mapping[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page, or one of its `parts` (element id to template) when htmx targets it."""
    wanted = (parts or {}).get(request.htmx.target or "") if request.htmx else None
    values = {name: _once(value) if callable(value) else value for name, value in context.items()}
    response = render(
        request, wanted or template, {"scope": scope_of(request), **values}, status=status
    )
    # The same address answers with a page or a part: caches must tell them apart.
    response["Vary"] = "HX-Request, HX-Target, Cookie"
    response["Cache-Control"] = "no-store"
    return response


def _once(function: Callable[[], Any]) -> Callable[[], Any]:
    """Templates call functions each time they meet them; this one is called at most once."""
    return cache(function)
