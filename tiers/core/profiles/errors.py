"""Why a serving profile cannot be made."""


class UnknownGpuType(ValueError):
    """No data sheet is known for the GPU type."""

    def __init__(self, name: str) -> None:
        super().__init__(f"GPU type {name!r} is not known; see tiers/core/profiles/hardware.py")
        self.name = name


class UnknownModel(ValueError):
    """The shape of the model is not known."""

    def __init__(self, name: str) -> None:
        super().__init__(f"model {name!r} is not known; see tiers/core/profiles/shapes.py")
        self.name = name


class TooFewRuns(ValueError):
    """Nothing can be calibrated or scored from so few runs."""

    def __init__(self, found: int, needed: int) -> None:
        super().__init__(f"{found} usable runs, {needed} are needed")
        self.found = found
