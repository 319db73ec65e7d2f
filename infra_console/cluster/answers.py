"""Answers of an API as JSON, one or page by page; failures in our words."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from infra_console.cluster.errors import translated

PAGE_OBJECTS = 500


def read_json(
    cluster_id: str, what: str, call: Callable[..., Any], **options: Any
) -> dict[str, Any]:
    """One answer as JSON; the client's models cost more than the request on large lists."""
    with translated(cluster_id, what):
        answer = json.loads(call(**options, _preload_content=False).data)
        if not isinstance(answer, dict):
            raise ValueError("the answer is no object")
        return answer


def pages(
    cluster_id: str, what: str, call: Callable[..., Any], **options: Any
) -> Iterator[dict[str, Any]]:
    """Every item of a list, page by page."""
    token = ""
    while True:
        more = {"_continue": token} if token else {}
        page = read_json(cluster_id, what, call, limit=PAGE_OBJECTS, **options, **more)
        yield from page.get("items") or ()
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return
