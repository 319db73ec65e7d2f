"""A stage: one program that runs to its end before the stack goes on, timed and told in a line."""

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from infra_console.embedded import child as children
from infra_console.embedded.child import Child
from infra_console.embedded.errors import DiskFull, StageFailed
from infra_console.embedded.supervisor import last_line, say


@dataclass
class Stage:
    """One program; `begin` and `finish` apart let two stages run beside each other."""

    title: str
    child: Child
    log_file: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _begun_at: float = field(default=0.0, init=False)

    def begin(self) -> "Stage":
        """Start the program; its output goes to the log."""
        self._begun_at = time.monotonic()
        self._process = children.start(self.child, self.log_file)
        return self

    def finish(self) -> None:
        """Wait for the end. Raises StageFailed or DiskFull with the last line of the log."""
        if self._process is None:
            raise StageFailed(f"{self.title}: never begun")
        try:
            code = self._process.wait()
        except BaseException:  # Ctrl-C: nothing may be left running
            children.stop(self.child, self._process)
            raise
        if code == 0:
            say(f"  {self.title}: {time.monotonic() - self._begun_at:.1f} s")
            return
        line = last_line(self.log_file)
        if "No space left on device" in line:
            raise DiskFull(f"The disk is full: {self.title} failed. Free some space.")
        raise StageFailed(f"{self.title} failed: {line} (log: {self.log_file})")

    def run(self) -> None:
        self.begin().finish()

    def abandon(self) -> None:
        """Stop the program when the stack cannot go on; harmless when it has ended."""
        if self._process is not None:
            children.stop(self.child, self._process)
