"""What can be wrong with the fleet's identities."""

from pathlib import Path


class FleetFileInvalid(Exception):
    """The fleet file cannot be used; what the database held before still holds."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"Fleet file {path.name} {problem}")
        self.path = path
        self.problem = problem
