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


class QueryUnknown(KeyError):
    """The catalogue has no query of this name."""


class AmbiguousReading(ValueError):
    """The labels given do not single out one series of a reading."""
