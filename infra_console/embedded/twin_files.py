"""What the simulated fleet needs on disk before it first runs, and what it was made with.

`manage.py twin init` writes certificates, kubeconfigs, the fleet file and scrape targets; `twin
history` writes the weeks before the start. Both follow the demand that was chosen, so a state
folder keeps to it.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from infra_console.embedded.errors import StageFailed
from infra_console.embedded.private import read_json, write_json
from infra_console.embedded.processes import Processes
from infra_console.embedded.prometheus import Prometheus, write_history
from infra_console.embedded.stage import Stage
from infra_console.embedded.supervisor import say

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

    def init(
        self,
        *,
        demand: Path | None = None,
        time_factor: float | None = None,
        size: int | None = None,
    ) -> None:
        """Write the twin's files unless they are there. Raises StageFailed.

        Asking for another demand, factor or size than the state was made with is refused: its
        history would belong to another fleet.
        """
        kept_file = self.state_dir / "twin" / "made-with.json"
        kept = read_json(kept_file)
        wanted = {
            "demand": str(demand.resolve()) if demand else kept.get("demand"),
            "time_factor": time_factor if time_factor is not None else kept.get("time_factor"),
            "size": size if size is not None else kept.get("size"),
        }
        if kept:
            if any(kept.get(name) != value for name, value in wanted.items()):
                raise StageFailed(
                    f"{self.state_dir} was made with other options ({_told(kept)}). Leave them "
                    "out, or choose another state folder with --state."
                )
            return
        words = ["--demand", str(wanted["demand"])] if wanted["demand"] else []
        if wanted["time_factor"] is not None:
            words += ["--time-factor", str(wanted["time_factor"])]
        if wanted["size"] is not None:
            words += ["--size", str(wanted["size"])]
        self._stage("twin files", "twin-init", "twin", "init", *words).run()
        write_json(kept_file, wanted)

    def begin_history(
        self, prometheus: Prometheus, *, days: int = HISTORY_DAYS
    ) -> "History | None":
        """Begin to write the days before now; None when Prometheus has blocks already."""
        if prometheus.has_blocks():
            return None
        samples = self.state_dir / "twin" / "history.om"
        words = ("twin", "history", "--days", str(days), "--out", str(samples))
        stage = self._stage(f"{days} days of samples", "twin-history", *words)
        return History(stage=stage.begin(), samples=samples, prometheus=prometheus)

    def _stage(self, title: str, name: str, *words: str) -> Stage:
        return Stage(title, self.processes.manage(name, *words), self.log_dir / f"{name}.log")


@dataclass(frozen=True, kw_only=True)
class History:
    """Samples that are being written, to become blocks of a Prometheus that does not run yet."""

    stage: Stage
    samples: Path
    prometheus: Prometheus

    def finish(self) -> None:
        """Wait for the samples and make the blocks. Raises StageFailed, DiskFull."""
        try:
            self.stage.finish()
            begun_at = time.monotonic()
            write_history(self.prometheus, self.samples)
            say(f"  history as blocks: {time.monotonic() - begun_at:.1f} s")
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Stop writing and remove the samples; harmless at the end."""
        self.stage.abandon()
        self.samples.unlink(missing_ok=True)


def _told(kept: dict[str, object]) -> str:
    return ", ".join(f"{name.replace('_', '-')} {value}" for name, value in kept.items() if value)
