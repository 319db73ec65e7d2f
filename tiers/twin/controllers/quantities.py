"""Kubernetes quantities as numbers and back: `8`, `500m`, `900Gi`."""

from decimal import Decimal

ZERO = Decimal(0)
_UNITS = {
    "m": Decimal("0.001"), "k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9,
    "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30, "Ti": Decimal(2) ** 40,
}  # fmt: skip


def quantity(value: object) -> Decimal:
    """A quantity as a number; the API has refused what is none."""
    text = str(value)
    number = text.rstrip("mkKMGTi")
    return Decimal(number) * _UNITS.get(text[len(number) :], Decimal(1))


def written(amount: Decimal) -> str:
    return str(int(amount)) if amount == int(amount) else f"{int(amount * 1000)}m"
