"""What can stop the stack from starting: each error is one clear line for the person at the shell.

Every error says what failed and what to do next. The commands print `str(error)` and end with
`EXIT_CODE`; detail is in the log file that the line names.
"""

EXIT_CODE = 2


class EmbeddedError(Exception):
    """A stack of child processes cannot start or go on; the message is for the operator."""


class AlreadyRunning(EmbeddedError):
    """Another copy holds the lock of the same state folder."""


class PortBusy(EmbeddedError):
    """An address that was asked for is taken by another program."""


class DiskFull(EmbeddedError):
    """There is too little room left to start, or a write failed for want of room."""


class BinaryMissing(EmbeddedError):
    """A server's program is not on this machine and could not be fetched."""


class NotReachable(EmbeddedError):
    """The unprivileged user cannot reach a program or folder, nor could a copy be made for it."""


class StageFailed(EmbeddedError):
    """A step before the start (migrate, twin files, history) ended with an error."""


class ChildFailed(EmbeddedError):
    """A child process ended, or never became ready, while the stack was starting."""
