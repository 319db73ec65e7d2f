"""Locks of the database are told apart by their number: two that share one hold each other up."""

import re
from collections import Counter
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("infra_console", "tiers", "fabric", "regions")
LOCK = re.compile(r"^[A-Z_]*_LOCK = (\w+)", re.MULTILINE)


def test_no_two_locks_have_the_same_number():
    files = (file for package in PACKAGES for file in (CHECKOUT / package).rglob("*.py"))
    numbers = Counter(int(n, 0) for file in files for n in LOCK.findall(file.read_text()))
    assert len(numbers) >= 7
    assert [number for number, times in numbers.items() if times > 1] == []
