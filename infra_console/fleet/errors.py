"""What can be wrong with the fleet's identities."""

from pathlib import Path


class FleetFileInvalid(Exception):
    """The fleet file cannot be used; what the database held before still holds."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"Fleet file {path.name} {problem}")
        self.path = path
        self.problem = problem


class TableInvalid(Exception):
    """An imported table cannot be used; what was imported before still holds."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name = name
        self.problem = problem
