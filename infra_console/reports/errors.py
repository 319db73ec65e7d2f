"""What can be wrong with reports, their schedule and their mail."""

from collections.abc import Sequence


class ReportError(Exception):
    """Base of this package's errors."""


class NotAllowed(ReportError):
    """The person lacks a right; nothing was changed."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"This {missing}. Nothing was changed; ask somebody who holds it.")


class ScheduleInvalid(ReportError):
    """A schedule cannot be kept as it was written; nothing was changed."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


class AddressInvalid(ReportError):
    """No mail can be sent to this text."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:100]!r} is no mail address (one address, in ASCII, no name)")


class HeaderUnsafe(ReportError):
    """A line break stood where a header's text was expected; no mail was made."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the header {name} would hold a line break; no mail was made")


class NothingToResend(ReportError):
    def __init__(self) -> None:
        super().__init__("Only what failed or is unclear can be sent again; nothing was changed.")


# --- how a mail did not get through --------------------------------------------------------


class MailProblem(ReportError):
    """`words` are the server's or the system's own, on one line."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class ServerAway(MailProblem):
    """No mail can be handed over now, to nobody: try all of them later."""


class MailDeferred(MailProblem):
    """The server does not take this one mail now (4xx): try it later."""


class MailRefused(MailProblem):
    """The server will never take this one mail (5xx)."""


class MailUnclear(MailProblem):
    """The mail was handed over and no answer came: it may or may not have been taken."""
