"""What the simulated fleet needs on disk before it first runs, and what it was made with.

`manage.py twin init` writes certificates, kubeconfigs, the fleet file and scrape targets; `twin
history` writes the weeks before the start. Both follow the demand that was chosen, so a state
folder keeps to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra_console.embedded.errors import StageFailed
from infra_console.embedded.private import read_json, write_json
from infra_console.embedded.processes import Processes
from infra_console.embedded.prometheus import Prometheus, write_history
from infra_console.embedded.stage import Stage

HISTORY_DAYS = 28


@dataclass(frozen=True, kw_only=True)
class TwinFiles:
    """The twin's part of a state folder."""

    state_dir: Path
    processes: Processes
    log_dir: Path

    @property
    def reader_kubeconfig(self) -> Path:
        return self.state_dir / "twin" / "kubeconfig-viewer"

    @property
    def writer_kubeconfig(self) -> Path:
        return self.state_dir / "twin" / "kubeconfig"

    @property
    def targets(self) -> Path:
        return self.state_dir / "targets" / "twin.json"

    def init(self, *, demand: Path | None, time_factor: float | None) -> None:
        """Write the twin's files unless they are there. Raises StageFailed.

        Asking for another demand or factor than the state was made with is refused: its history
        would belong to another fleet.
        """
        kept_file = self.state_dir / "twin" / "made-with.json"
        kept = read_json(kept_file)
        wanted = {
            "demand": str(demand.resolve()) if demand else kept.get("demand"),
            "time_factor": time_factor if time_factor is not None else kept.get("time_factor"),
        }
        if kept:
            if wanted != kept:
                raise StageFailed(
                    f"{self.state_dir} was made with other options ({_told(kept)}). Leave them "
                    "out, or choose another state folder with --state."
                )
            return
        words = ["--demand", str(wanted["demand"])] if wanted["demand"] else []
        if wanted["time_factor"] is not None:
            words += ["--time-factor", str(wanted["time_factor"])]
        self._stage("twin files", "twin-init", "twin", "init", *words).run()
        write_json(kept_file, wanted)

    def begin_history(self, prometheus: Prometheus) -> Callable[[], None]:
        """Begin writing history; the returned function waits for it and makes the blocks."""
        samples = self.state_dir / "twin" / "history.om"
        if prometheus.has_blocks():
            return lambda: None
        words = ("twin", "history", "--days", str(HISTORY_DAYS), "--out", str(samples))
        stage = self._stage(f"{HISTORY_DAYS} days of history", "twin-history", *words).begin()

        def finish() -> None:
            try:
                stage.finish()
                write_history(prometheus, samples)
            finally:
                stage.abandon()
                samples.unlink(missing_ok=True)

        return finish

    def _stage(self, title: str, name: str, *words: str) -> Stage:
        return Stage(title, self.processes.manage(name, *words), self.log_dir / f"{name}.log")


def _told(kept: dict[str, object]) -> str:
    return ", ".join(f"{name.replace('_', '-')} {value}" for name, value in kept.items() if value)
