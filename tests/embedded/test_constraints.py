"""How pip's choice becomes constraints.txt."""

from infra_console.embedded.constraints import HEADER, constraints


def test_pins_are_exact_sorted_and_free_of_builds_and_ourselves():
    chosen = [
        ("torch", "2.13.0+cpu"), ("nvidia-cublas-cu13", "13.1"), ("triton", "3.9"),
        ("Django", "5.2.19"), ("infra-console", "0.1.0"), ("typing_extensions", "4.16.0"),
    ]  # fmt: skip
    assert constraints(chosen) == (
        f"{HEADER}django==5.2.19\ntorch==2.13.0\ntyping-extensions==4.16.0\n"
    )
