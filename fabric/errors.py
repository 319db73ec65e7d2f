"""What can keep a store from answering. Each has one word for its state and says what failed."""


class StoreError(Exception):
    """A store cannot be used now; the others still answer."""

    state = "down"

    def __init__(self, store: str, problem: str) -> None:
        super().__init__(f"{store}: {problem}")
        self.store = store
        self.problem = problem


class StoreUnavailable(StoreError):
    """It does not answer, or refuses us."""


class StoreNotInstalled(StoreError):
    """Its package or extension is missing on this machine."""

    state = "not installed"


class StoreSlow(StoreError):
    """It did not answer within the time limit."""

    state = "slow"


class StoreDamaged(StoreError):
    """What it kept is not what was written; it has to be built again."""

    state = "damaged"


class IndexMissing(StoreError):
    """It has no such index."""

    state = "not built"


class UnknownCollection(KeyError):
    """No collection has this name."""

    def __str__(self) -> str:
        return f"there is no collection {self.args[0]!r}"


class IngestRunning(Exception):
    """Another process ingests this collection; it goes on."""


class EmbedderLost(Exception):
    """A collection's embedding cannot be loaded, so nothing can be asked of it; ingest it again."""

    def __init__(self, version: str, problem: str) -> None:
        super().__init__(f"embedding {version}: {problem}; run `manage.py fabric_ingest` again")
