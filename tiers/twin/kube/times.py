"""Times as the API writes them: RFC 3339 in UTC, whole seconds for `Time`."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """`2026-11-24T00:00:00Z`; fractions are cut, as `metav1.Time` cuts them."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """An aware UTC time from RFC 3339 (`Time` or `MicroTime`). Raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
