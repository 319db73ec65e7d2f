"""What runs: `demo` is the whole console on a simulated fleet, `up` the console on a real one.

Order: PostgreSQL and Valkey; then migrations beside whatever the twin and Prometheus still need;
then everything else at once. A restart on an existing state folder has little to do at each step.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from infra_console.embedded.child import Child
from infra_console.embedded.disk import require_room
from infra_console.embedded.environment import common_environment, given, keep_for_shells
from infra_console.embedded.errors import StageFailed
from infra_console.embedded.lock import single_copy
from infra_console.embedded.loopback import HOST, require_free
from infra_console.embedded.processes import Processes
from infra_console.embedded.rule_files import write_rules
from infra_console.embedded.servers import Servers, prepare_servers
from infra_console.embedded.stage import Stage
from infra_console.embedded.supervisor import Supervisor, say
from infra_console.embedded.twin_files import HISTORY_DAYS, TwinFiles

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """What the person at the shell chose. None leaves the twin's own default."""

    state_dir: Path
    demo: bool
    port: int = 8000
    demand: Path | None = None
    time_factor: float | None = None
    size: int | None = None
    history_days: int = HISTORY_DAYS
    armed: bool = True
    checkout: Path = CHECKOUT

    @property
    def command(self) -> str:
        return f"manage.py {'demo' if self.demo else 'up'}"

    @property
    def log_dir(self) -> Path:
        return self.state_dir / "log"

    @property
    def users_file(self) -> Path:
        return self.state_dir / "demo-users.txt"

    @property
    def fleet_file(self) -> Path:
        own = self.state_dir / "fleet.toml"
        return own if self.demo or not given("FLEET_FILE") else Path(given("FLEET_FILE"))


def run_stack(options: StackOptions) -> None:
    """Start everything, keep it running, and stop it in order on Ctrl-C or SIGTERM.

    Raises EmbeddedError when it cannot start; whatever had started is stopped by then.
    """
    begun_at = time.monotonic()
    state_dir = options.state_dir
    with single_copy(state_dir, command=options.command):
        require_room(state_dir)
        require_free(options.port, purpose="the web server", option="--port")
        if not options.demo and not options.fleet_file.exists():
            raise StageFailed(
                f"There is no fleet file at {options.fleet_file}. Write one (docs/connect.md shows "
                "how), or name yours in INFRA_CONSOLE_FLEET_FILE."
            )
        first_start = not options.users_file.exists()
        supervisor = Supervisor(log_dir=options.log_dir)
        with supervisor.signals():
            processes, twin = _start_page(options, supervisor)
            _welcome(options, seconds=time.monotonic() - begun_at, first_start=first_start)
            _start_workers(options, supervisor, processes, twin)
            supervisor.watch()


def _start_page(options: StackOptions, supervisor: Supervisor) -> tuple[Processes, TwinFiles]:
    """Everything that a page needs. Workers wait: on a small machine they would only delay it."""
    begun_at = time.monotonic()
    servers = _start_stores(options, supervisor)
    say(f"  database and broker: {time.monotonic() - begun_at:.1f} s")
    processes = _processes(options, servers)
    twin = TwinFiles(state_dir=options.state_dir, processes=processes, log_dir=options.log_dir)
    if options.demo:
        twin.init(demand=options.demand, time_factor=options.time_factor, size=options.size)
    _prepare(options, supervisor, servers, processes, twin)
    begun_at = time.monotonic()
    supervisor.launch_group([processes.web(options.port)])
    supervisor.wait_all()
    say(f"  web and sources: {time.monotonic() - begun_at:.1f} s")
    return processes, twin


def _start_stores(options: StackOptions, supervisor: Supervisor) -> Servers:
    scrape = options.demo or any((options.state_dir / "targets").glob("*.json"))
    rules_dir = write_rules(options.state_dir, fleet_file=options.fleet_file)
    servers = prepare_servers(options.state_dir, rules_dir=rules_dir, scrape=scrape)
    supervisor.start_group(servers.stores())
    return servers


def _start_workers(
    options: StackOptions, supervisor: Supervisor, processes: Processes, twin: TwinFiles
) -> None:
    begun_at = time.monotonic()
    supervisor.launch_group(_workers(options, processes, twin))
    supervisor.wait_all()
    say(f"  workers: {time.monotonic() - begun_at:.1f} s")


def _processes(options: StackOptions, servers: Servers) -> Processes:
    values = servers.environment() | {"FLEET_FILE": str(options.fleet_file)}
    if options.demo:
        values["DEMO"] = "1"
    keep_for_shells(options.state_dir, values)
    env = common_environment(options.state_dir, values)
    return Processes(env=env, checkout=options.checkout, log_dir=options.log_dir)


def _prepare(
    options: StackOptions,
    supervisor: Supervisor,
    servers: Servers,
    processes: Processes,
    twin: TwinFiles,
) -> None:
    """Migrate, collect files, read the fleet. Beside it the sources start; on a first start they
    wait for their history, which is written meanwhile."""
    words = ["prepare", "--fleet", str(options.fleet_file)]
    if options.demo:
        words += ["--demo-users", str(options.users_file)] + (["--arm"] if options.armed else [])
    log_file = options.log_dir / "prepare.log"
    sources = [servers.prometheus.child()] if servers.prometheus else []
    if options.demo:
        sources.append(processes.twin(twin.targets))
    history = None
    if options.demo and options.history_days and servers.prometheus:
        history = twin.begin_history(servers.prometheus, days=options.history_days)
    try:
        if history is None:
            supervisor.launch_group(sources)
        Stage("tables, files and fleet", processes.manage("prepare", *words), log_file).run()
        if history is not None:
            history.finish()
            supervisor.launch_group(sources)
    finally:
        if history is not None:
            history.abandon()


def _workers(options: StackOptions, processes: Processes, twin: TwinFiles) -> list[Child]:
    reader, writer = given("KUBECONFIG_READ"), given("KUBECONFIG")
    if options.demo:
        reader, writer = str(twin.reader_kubeconfig), str(twin.writer_kubeconfig)
    return [
        processes.worker("control", "control,evaluate,report", threads=4, kubeconfig=reader),
        processes.worker("execute", "execute", threads=4, kubeconfig=writer),
        processes.worker("forecast", "forecast", threads=1),
        processes.beat(options.state_dir),
    ]


def _welcome(options: StackOptions, *, seconds: float, first_start: bool) -> None:
    say(f"infra-console is up after {seconds:.1f} s: http://{HOST}:{options.port}/")
    if options.demo and first_start:
        say(f"Sign in as one of these (kept in {options.users_file}):")
        say(options.users_file.read_text().rstrip())
    elif options.demo:
        say(f"Names and passwords are in {options.users_file}.")
    say("Ctrl-C stops everything.")
