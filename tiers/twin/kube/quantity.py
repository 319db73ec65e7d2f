"""Resource quantities: `500m`, `8`, `96Gi` as exact numbers, and back in canonical form."""

import re
from decimal import Decimal

_FORM = re.compile(r"^([+-]?[0-9.]+)(?:(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)|[eE]([+-]?\d+))?$")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def parse(text: object) -> Decimal:
    """The number a quantity stands for. Raises ValueError."""
    found = _FORM.match(str(text))
    if found is None:
        raise ValueError(f"not a quantity: {text!r}")
    number, suffix = Decimal(found[1]), found[2] or ""
    if found[3]:
        return number.scaleb(int(found[3]))
    if suffix in _BINARY:
        return number * Decimal(1024 ** (_BINARY.index(suffix) + 1))
    return number.scaleb(_DECIMAL[suffix])


def show(value: Decimal, *, binary: bool = False) -> str:
    """The shortest whole number with a suffix: `2`, `500m`, `1500m`, `64Gi`."""
    if value == 0:
        return "0"
    if binary and value == value.to_integral_value():
        return _show_binary(int(value))
    for suffix, power in sorted(_DECIMAL.items(), key=lambda item: -item[1]):
        scaled = value.scaleb(-power)
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return f"{int(value.scaleb(9))}n"


def _show_binary(value: int) -> str:
    power = 0
    while value % 1024 == 0 and power < len(_BINARY):
        value, power = value // 1024, power + 1
    return f"{value}{_BINARY[power - 1] if power else ''}"
