"""A collection's folder: `corpus.jsonl` (_id, title, text, optional metadata), `queries.jsonl`
(_id, text) and `qrels.tsv` (query, document, gain); the last two may be missing."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fabric.core.errors import FabricInvalid

WHOLE = "all"  # the partition of documents without one


@dataclass(frozen=True, slots=True)
class Text:
    """One document of a corpus."""

    key: str
    title: str
    body: str
    metadata: dict[str, Any]

    @property
    def whole(self) -> str:
        """What is embedded: the title once, also where the body begins with it."""
        return self.body if self.body.startswith(self.title) else f"{self.title} {self.body}"

    def partition(self, by: str) -> str:
        """Its partition by a metadata field; documents without it share one."""
        value = self.metadata.get(by) if by else None
        return WHOLE if value is None else str(value)[:100]


def read_corpus(lines: Iterable[str]) -> Iterator[Text]:
    """Raises FabricInvalid at the first line that breaks the form."""
    seen: set[str] = set()
    for number, row in _rows(lines, "corpus.jsonl"):
        key, body = row.get("_id"), row.get("text")
        if not isinstance(key, str) or not isinstance(body, str) or not key or key in seen:
            problem = "needs an _id of its own and a text"
            raise FabricInvalid(f"corpus.jsonl line {number}", problem)
        seen.add(key)
        metadata = row.get("metadata") or {}
        yield Text(key, str(row.get("title") or ""), body, metadata)


def read_queries(lines: Iterable[str]) -> dict[str, str]:
    """Text by query id."""
    found = {}
    for number, row in _rows(lines, "queries.jsonl"):
        if not isinstance(row.get("_id"), str) or not isinstance(row.get("text"), str):
            raise FabricInvalid(f"queries.jsonl line {number}", "needs an _id and a text")
        found[row["_id"]] = row["text"]
    return found


def read_qrels(lines: Iterable[str]) -> dict[str, dict[str, float]]:
    """Gain by document, by query; a first line without a number is a heading."""
    found: dict[str, dict[str, float]] = {}
    for number, line in enumerate(lines, 1):
        parts = line.rstrip("\n").split("\t")
        if not line.strip() or (number == 1 and not _is_number(parts[-1])):
            continue
        if len(parts) != 3 or not _is_number(parts[2]):
            raise FabricInvalid(f"qrels.tsv line {number}", "needs query, document and gain")
        found.setdefault(parts[0], {})[parts[1]] = float(parts[2])
    return found


def _rows(lines: Iterable[str], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as err:
            raise FabricInvalid(f"{name} line {number}", "no JSON") from err
        if not isinstance(row, dict):
            raise FabricInvalid(f"{name} line {number}", "no JSON object")
        yield number, row


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
