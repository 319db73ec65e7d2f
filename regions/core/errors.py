"""What can be wrong with what the regions' rules are given."""


class MatrixInvalid(ValueError):
    """A file of round-trip times breaks its contract at `place`; nothing of it was taken."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


class UnknownRegion(KeyError):
    """Somebody named a region that the router was not given; nothing was changed."""

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.region = region

    def __str__(self) -> str:
        return f"the router knows no region {self.region!r}"
