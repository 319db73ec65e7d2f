"""The adoption's verbs: keep a first look, edit the rules, apply the proposed fleet file.

Nothing here writes to a cluster.
"""

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from django.db import transaction
from pydantic import ValidationError

from infra_console.audit.services import record_audit
from infra_console.fleet.config import FleetConfig
from infra_console.fleet.errors import FleetFileInvalid
from infra_console.fleet.queries import current_fleet
from infra_console.fleet.services import apply_fleet_config
from tiers.core.adoption import Adoption
from tiers.core.adoption_rules import AdoptionRules, RegionFacts
from tiers.core.inventory import Inventory
from tiers.core.proposal import fleet_proposal
from tiers.errors import RulesInvalid
from tiers.models import AdoptionState

PROPOSAL = Path("proposal.toml")


def current_rules() -> AdoptionRules:
    """The rules in force; regions that the applied fleet file describes need not be told again."""
    state = AdoptionState.objects.filter(id=1).first()
    rules = AdoptionRules.model_validate(state.rules) if state else AdoptionRules()
    fleet = current_fleet()
    if fleet is None:
        return rules
    known = {r.id: RegionFacts(**r.model_dump(exclude={"id"})) for r in fleet.regions}
    return rules.model_copy(update={"regions": known | rules.regions})


def own_rules() -> AdoptionRules:
    """The rules as an operator wrote them."""
    state = AdoptionState.objects.filter(id=1).first()
    return AdoptionRules.model_validate(state.rules) if state else AdoptionRules()


def parse_rules(text: str) -> AdoptionRules:
    """Rules from their YAML.

    Raises:
        RulesInvalid: not YAML, or a key or value that no rule has; the message names it.
    """
    try:
        return AdoptionRules.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as err:
        raise RulesInvalid(f"not YAML: {str(err).splitlines()[0]}") from err
    except ValidationError as err:
        raise RulesInvalid(_problems(err)) from err


def rules_text(rules: AdoptionRules) -> str:
    """Rules as YAML, what is not said left out."""
    said = rules.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True) if said else ""


@transaction.atomic
def save_rules(text: str, *, by: str) -> AdoptionRules:
    """Keep the rules.

    Raises:
        RulesInvalid: they cannot be read; those before hold.
    """
    rules = parse_rules(text)
    said = rules.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    AdoptionState.objects.update_or_create(id=1, defaults={"rules": said, "rules_by": by})
    record_audit(
        actor=by, action="adoption.rules_saved", object_kind="fleet", object_id="1",
        detail={"tiers": len(rules.tiers), "purchases": len(rules.purchases)},
    )  # fmt: skip
    return rules


def keep_inventory(found: Inventory, *, by: str) -> None:
    """Keep what was found for the page; the look before is dropped."""
    defaults: dict[str, Any] = {
        "inventory": found.model_dump(mode="json", by_alias=True),
        "looked_at": found.taken_at,
        "looked_by": by,
    }
    AdoptionState.objects.update_or_create(id=1, defaults=defaults)


def last_look() -> tuple[Inventory, datetime, str] | None:
    """What was found last, when, and who asked for it."""
    state = AdoptionState.objects.filter(id=1).first()
    if state is None or state.inventory is None or state.looked_at is None:
        return None
    return Inventory.model_validate(state.inventory), state.looked_at, state.looked_by


def proposal_of(found: Inventory, adoption: Adoption, rules: AdoptionRules) -> str:
    """The fleet file proposed for what was found, naming the sources that are known."""
    fleet = current_fleet()
    sources = [(s.id, s.url) for s in fleet.sources] if fleet else []
    return fleet_proposal(found, adoption, rules, sources=sources)


def parse_fleet(text: str) -> FleetConfig:
    """A fleet file from its text.

    Raises:
        FleetFileInvalid: it is not TOML or breaks the schema; each wrong key by its path.
    """
    try:
        return FleetConfig.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as err:
        raise FleetFileInvalid(PROPOSAL, f"is not TOML: {err}") from err
    except ValidationError as err:
        raise FleetFileInvalid(PROPOSAL, _problems(err)) from err


def apply_proposal(text: str, *, by: str) -> FleetConfig:
    """Apply an edited proposal, as `fleet_apply` applies a file.

    Raises:
        FleetFileInvalid: it cannot be used; the fleet stays as it was.
    """
    config = parse_fleet(text)
    apply_fleet_config(config, by=by)
    return config


def _problems(err: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(p) for p in e['loc']) or 'file'}: {e['msg']}" for e in err.errors()
    )
