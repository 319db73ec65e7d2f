"""What can be wrong with the numbers handed to the core."""


class SnapshotInvalid(ValueError):
    """A snapshot breaks the contract at `path`; nothing was planned."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem
