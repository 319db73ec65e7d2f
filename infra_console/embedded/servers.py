"""Which servers the stack starts itself: one is left out where the environment names another's."""

from dataclasses import dataclass
from pathlib import Path

from infra_console.embedded.child import Child
from infra_console.embedded.environment import given
from infra_console.embedded.postgres import Postgres, prepare_postgres
from infra_console.embedded.prometheus import Prometheus, prepare_prometheus
from infra_console.embedded.valkey import Valkey, prepare_valkey


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The embedded servers of this start; None stands for one that is somebody else's."""

    postgres: Postgres | None
    valkey: Valkey | None
    prometheus: Prometheus | None

    def stores(self) -> list[Child]:
        """What has to be up before anything of ours can start."""
        return [server.child() for server in (self.postgres, self.valkey) if server]

    def environment(self) -> dict[str, str]:
        """Where our processes find the servers (names without the prefix)."""
        values = {}
        if self.postgres:
            values["DATABASE_URL"] = self.postgres.url
        if self.valkey:
            values["BROKER_URL"] = self.valkey.url
        if self.prometheus:
            values["PROMETHEUS_URL"] = self.prometheus.url
        return values


def prepare_servers(state_dir: Path, *, rules_dir: Path, scrape: bool) -> Servers:
    """Prepare every server that has no URL in the environment; Prometheus only when `scrape`.

    Raises what the single servers raise.
    """
    own_prometheus = scrape and not given("PROMETHEUS_URL")
    return Servers(
        postgres=None if given("DATABASE_URL") else prepare_postgres(state_dir),
        valkey=None if given("BROKER_URL") else prepare_valkey(state_dir),
        prometheus=prepare_prometheus(state_dir, rules_dir=rules_dir) if own_prometheus else None,
    )
