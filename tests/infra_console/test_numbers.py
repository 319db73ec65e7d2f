import pytest

from infra_console.numbers import whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("9" * 5000, None),
     ("", None), ("-1", None), ("1.0", None), ("²", None), (" 1", None)],
)  # fmt: skip
def test_only_digits_that_a_database_can_hold_are_a_whole_number(text, number):
    assert whole_number(text) == number
