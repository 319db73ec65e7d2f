"""One value of a YAML file, found by its path and replaced in place: every other byte stays.

The path is a list of keys and list positions. In a file of several documents the one is meant that
has the given kind and name. A value that is not written down there, or is shared by an alias, is
refused, because writing it would change something else.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from infra_console.plans.errors import FieldUnusable

Path = Sequence[str | int]
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
QUOTES = frozenset({"'", '"'})


@dataclass(frozen=True, slots=True)
class Field:
    """A value as it stands in a text, from `start` to `end`; `quote` is empty for a bare one."""

    value: str
    quote: str
    start: int
    end: int


def find_field(text: str, path: Path, *, kind: str = "", name: str = "") -> Field:
    """Where the value stands.

    Raises:
        FieldUnusable: not YAML, no such document, no such path, or no plain value there.
    """
    node = _document(text, kind, name)
    for step in path:
        node = _child(node, step, path)
    if not isinstance(node, yaml.ScalarNode):
        raise FieldUnusable(f"{_words(path)} is no plain value")
    quote = node.style if node.style in QUOTES else ""
    return Field(str(node.value), quote or "", node.start_mark.index, node.end_mark.index)


def replace_field(text: str, path: Path, value: str, *, kind: str = "", name: str = "") -> str:
    """The text with this one value; its quotes stay as they were.

    Raises:
        FieldUnusable: see `find_field`; or more than this value would change.
    """
    if not PLAIN.fullmatch(value):
        raise FieldUnusable(f"{value!r} is no value that can be written without doubt")
    held = find_field(text, path, kind=kind, name=name)
    after = f"{text[: held.start]}{held.quote}{value}{held.quote}{text[held.end :]}"
    if not _only(path, text, after):
        raise FieldUnusable(f"{_words(path)} is shared with other places of the file")
    return after


def _only(path: Path, before: str, after: str) -> bool:
    """Whether two texts say the same but at this path."""
    try:
        changed = list(_differences(_loaded(before), _loaded(after)))
    except yaml.YAMLError:  # an anchor stood there, and its aliases lead nowhere now
        return False
    return all(at[1:] == tuple(path) for at in changed)


def _document(text: str, kind: str, name: str) -> Any:
    try:
        nodes = [node for node in yaml.compose_all(text, yaml.SafeLoader) if node is not None]
        loaded = [part for part in yaml.safe_load_all(text) if part is not None]
    except yaml.YAMLError as err:
        raise FieldUnusable(f"the file is no YAML: {str(err).splitlines()[0]}") from err
    pairs = list(zip(nodes, loaded, strict=True))
    meant = [node for node, part in pairs if _is(part, kind, name)] if len(pairs) > 1 else nodes
    if len(meant) != 1:
        raise FieldUnusable(f"the file holds {len(meant)} documents of {kind} {name}")
    return meant[0]


def _is(part: Any, kind: str, name: str) -> bool:
    if not isinstance(part, Mapping) or part.get("kind") != kind:
        return False
    metadata = part.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get("name") == name


def _child(node: Any, step: str | int, path: Path) -> Any:
    if isinstance(node, yaml.MappingNode):
        found = [value for key, value in node.value if key.value == str(step)]
        if len(found) == 1:
            return found[0]
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    raise FieldUnusable(f"{_words(path)} is not written down in the file")


def _loaded(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


def _differences(before: Any, after: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths at which two values differ."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        for key in before:
            yield from _differences(before[key], after[key], (*at, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, pair in enumerate(zip(before, after, strict=True)):
            yield from _differences(*pair, (*at, place))
    elif before != after:
        yield at


def _words(path: Path) -> str:
    return ".".join(str(step) for step in path)
