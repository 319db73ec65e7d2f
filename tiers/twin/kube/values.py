"""Causes of a 422 in the API's words, and the forms of names, keys and label values."""

import json
import re
from collections.abc import Sequence
from typing import Any

Cause = tuple[str, str, str]
Causes = list[Cause]
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '" + _SUBDOMAIN.pattern.replace("\\", "\\\\") + "')"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '" + _LABEL.pattern + "')"
)
_KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '" + _QUALIFIED.pattern + "')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '" + _VALUE.pattern + "')"
)


def bad(field: str, value: Any, why: str) -> Cause:
    return ("FieldValueInvalid", field, f"Invalid value: {json.dumps(value)}: {why}")


def required(field: str, why: str = "") -> Cause:
    return ("FieldValueRequired", field, "Required value" + (f": {why}" if why else ""))


def forbidden(field: str, why: str) -> Cause:
    return ("FieldValueForbidden", field, f"Forbidden: {why}")


def unsupported(field: str, value: Any, supported: Sequence[str]) -> Cause:
    listed = ", ".join(f'"{word}"' for word in sorted(supported))
    shown = json.dumps(value, separators=(",", ":"))
    text = f"Unsupported value: {shown}: supported values: {listed}"
    return ("FieldValueNotSupported", field, text)


def too_long(field: str, most: int) -> Cause:
    return ("FieldValueTooLong", field, f"Too long: may not be more than {most} bytes")


def name_problem(name: str, *, label: bool = False) -> str:
    """Why this cannot be an object's name ("" when it can); namespaces are labels."""
    longest = 63 if label else 253
    if len(name) > longest:
        return f"must be no more than {longest} bytes"
    form, rule = (_LABEL, LABEL_RULE) if label else (_SUBDOMAIN, SUBDOMAIN_RULE)
    return "" if form.fullmatch(name) else rule


def key_problem(key: str) -> str:
    """Why this cannot be a label's or an annotation's key."""
    prefix, slash, name = key.rpartition("/")
    if slash and not _SUBDOMAIN.fullmatch(prefix):
        return "prefix part " + (SUBDOMAIN_RULE if prefix else "must be non-empty")
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 bytes"
    return "" if _QUALIFIED.fullmatch(name) else _KEY_RULE


def value_problem(value: str) -> str:
    """Why this cannot be a label's value."""
    if len(value) > 63:
        return "must be no more than 63 bytes"
    return "" if _VALUE.fullmatch(value) else _VALUE_RULE
