"""The only way a value enters a query.

A label value in PromQL is a double-quoted string with Go's escapes; a regular expression inside it
is escaped twice. Label names are checked, never escaped: a name that needs it is a mistake.
"""

import re
from collections.abc import Mapping, Sequence

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RE2_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")

Match = Mapping[str, str | Sequence[str]]


def quoted(value: str) -> str:
    """`value` as a PromQL string literal with its quotes.

    Raises:
        ValueError: it holds a NUL, which no label value can.
    """
    if "\0" in value:
        raise ValueError("a label value cannot hold a NUL character")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def escape_regex(value: str) -> str:
    """A regular expression that matches exactly this value; still to be quoted."""
    return _RE2_SPECIAL.sub(r"\\\1", value)


def one_of(values: Sequence[str]) -> str:
    """A PromQL string literal of a regular expression that matches exactly these values."""
    return quoted("|".join(escape_regex(value) for value in values))


def matchers(match: Match) -> str:
    """Label matchers to stand between braces: `cluster="a",model_name=~"b|c"`; empty for none.

    Raises:
        ValueError: a label name is not one, or a value holds a NUL.
    """
    parts = []
    for name, wanted in sorted(match.items()):
        if not LABEL_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a label name")
        if isinstance(wanted, str):
            parts.append(f"{name}={quoted(wanted)}")
        else:
            parts.append(f"{name}=~{one_of(wanted)}")
    return ",".join(parts)
