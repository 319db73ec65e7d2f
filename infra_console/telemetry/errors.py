"""What can go wrong when a metric source is asked. Nothing is ever changed by asking."""


class SourceError(Exception):
    """A source gave no usable answer. `retryable` says whether asking again may help."""

    retryable = False

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"Metric source {source}: {problem}")
        self.source = source
        self.problem = problem


class SourceUnreachable(SourceError):
    """No answer in time, or the server said that it cannot answer now."""

    retryable = True


class SourceRefused(SourceError):
    """The source understood and said no: a wrong query, missing rights, or a redirect."""


class SourceAnswerInvalid(SourceError):
    """The answer is not what the Prometheus HTTP API promises."""


class SourceAnswerTooLarge(SourceError):
    """The answer passes the size or series cap; ask for less time or fewer series."""


class SourceBudgetSpent(SourceError):
    """The source's own budget for this minute is used up, and nothing recent enough is held."""

    retryable = True

    def __init__(self, source: str, budget: str) -> None:
        super().__init__(source, f"its budget of {budget} is used up; it is asked again in a while")


class QueryUnknown(KeyError):
    """The catalogue has no query of this name."""


class AmbiguousReading(ValueError):
    """The labels given do not single out one series of a reading."""


class SourceInvalid(ValueError):
    """A source cannot be kept as it was written; nothing was changed. `problems` name each key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class SourceMissing(LookupError):
    """No source of this name is kept in the console; declared ones are changed where they stand."""

    def __init__(self, source_id: str) -> None:
        super().__init__(f"The console keeps no data source called {source_id}.")


class SecretsUnreadable(Exception):
    """Sealed credentials do not open with this process's keys; they are to be given again."""

    def __init__(self) -> None:
        super().__init__(
            "its credentials were sealed under another key: name that key in SECRETS_KEY, or give "
            "them again"
        )


class SourceNotYours(Exception):
    """Somebody without the right asked to change a data source; nothing was changed."""

    def __init__(self, who: str) -> None:
        super().__init__(f"{who} needs the right source.manage (role admin); nothing was changed.")
