"""Our own processes as children: web, workers, beat, twin.

Workers use threads, not forks: tasks wait for servers, torch does not survive a fork, and a worker
that is killed leaves no orphans. The queues are apart because of what their workers may hold: only
the `execute` worker is given the kubeconfig that can write.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra_console.embedded.child import Child
from infra_console.embedded.environment import KUBECONFIG_NAME
from infra_console.embedded.loopback import HOST, http_status


class LogSays:
    """Ready when the log, from where it ends now, contains a text."""

    def __init__(self, log_file: Path, text: str) -> None:
        self._log_file, self._text = log_file, text.encode()
        self._offset = log_file.stat().st_size if log_file.exists() else 0

    def __call__(self) -> bool:
        if not self._log_file.exists():
            return False
        with self._log_file.open("rb") as file:
            if self._offset <= self._log_file.stat().st_size:  # else it was put aside meanwhile
                file.seek(self._offset)
            return self._text in file.read()


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Builds the children. `env` is common to all and holds no kubeconfig."""

    env: Mapping[str, str]
    checkout: Path
    log_dir: Path

    def web(self, port: int) -> Child:
        words = [
            "-m",
            "uvicorn",
            "infra_console.asgi:application",
            "--host",
            HOST,
            "--port",
            str(port),
        ]
        words += ["--lifespan", "off", "--no-access-log", "--timeout-graceful-shutdown", "3"]
        return self._python("web", words, ready=lambda: http_status(port, "/healthz") == 200)

    def worker(self, name: str, queues: str, *, threads: int, kubeconfig: str = "") -> Child:
        words = ["celery", "-A", "infra_console", "worker", "-Q", queues, "-n", f"{name}@%h"]
        words += ["--pool", "threads", "--concurrency", str(threads), "--loglevel", "INFO"]
        words += ["--without-gossip", "--without-mingle"]
        env = {KUBECONFIG_NAME: kubeconfig} if kubeconfig else {}
        return self._logged(f"worker-{name}", words, says=" ready.", env=env)

    def beat(self, state_dir: Path) -> Child:
        words = ["celery", "-A", "infra_console", "beat", "--loglevel", "INFO"]
        words += ["--scheduler", "django_celery_beat.schedulers:DatabaseScheduler"]
        words += ["--pidfile="]  # none: the lock on the state folder keeps a second one out
        words += ["--schedule", str(state_dir / "beat-schedule")]
        return self._logged("beat", words, says="beat: Starting")

    def twin(self, targets_file: Path) -> Child:
        """The simulated fleet; ready when its first metrics address answers."""
        words = [str(self.checkout / "manage.py"), "twin", "run"]
        return self._python("twin", words, ready=lambda: first_target_answers(targets_file))

    def manage(self, name: str, *words: str) -> Child:
        """A management command that runs to its end."""
        return self._python(name, [str(self.checkout / "manage.py"), *words], ready=lambda: True)

    def _logged(
        self, name: str, words: list[str], *, says: str, env: Mapping[str, str] | None = None
    ) -> Child:
        ready = LogSays(self.log_dir / f"{name}.log", says)
        return self._python(name, ["-m", *words], ready=ready, env=env)

    def _python(
        self,
        name: str,
        words: Sequence[str],
        *,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
    ) -> Child:
        return Child(
            name=name,
            command=(sys.executable, *words),
            env={**self.env, **(env or {})},
            cwd=self.checkout,
            is_ready=ready,
        )


def first_target_answers(targets_file: Path) -> bool:
    """Whether the first target of a Prometheus file_sd document answers where it is scraped."""
    try:
        entry = json.loads(targets_file.read_text())[0]
        port = int(entry["targets"][0].rpartition(":")[2])
    except (OSError, ValueError, LookupError):
        return False
    path = entry.get("labels", {}).get("__metrics_path__", "/metrics")
    return http_status(port, path, timeout_s=10) == 200
