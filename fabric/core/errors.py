"""What can be wrong with vectors, collections and questions."""


class FabricInvalid(ValueError):
    """Something given to the fabric breaks its rules at `place`; nothing was changed."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


class WrongDimension(FabricInvalid):
    """A vector has another length than its collection's."""

    def __init__(self, found: int, wanted: int) -> None:
        super().__init__("vector", f"{found} dimensions, the index has {wanted}")


class NotFinite(FabricInvalid):
    """A vector holds NaN or infinity, which every distance would inherit."""

    def __init__(self) -> None:
        super().__init__("vector", "it holds NaN or infinity")


class NothingToEmbed(FabricInvalid):
    """No word of the text is known to the embedding, so it has no direction."""

    def __init__(self) -> None:
        super().__init__("text", "it holds no word that the collection knows")
