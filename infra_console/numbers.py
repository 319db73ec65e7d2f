"""Whole numbers in text that others wrote: addresses, labels, annotations."""

MOST_DIGITS = 18  # what a bigint of the database surely holds


def whole_number(text: str) -> int | None:
    """The number that digits alone write; None for anything else and for what is too large."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None
