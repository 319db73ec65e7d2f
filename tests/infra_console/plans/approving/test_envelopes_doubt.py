"""An approval given in advance does not reach plans whose input is in doubt: a person decides."""

import pytest

from infra_console.plans.invariants.envelopes import not_covered
from infra_console.plans.invariants.reading import read_history
from infra_console.plans.models import Approval, Plan
from infra_console.plans.spec import plan_hash
from tests.infra_console.plans.approving.test_envelopes import (
    _on,
    admin,
    armed_envelope,
    by_loop,
    small,
)
from tests.infra_console.plans.specs import evidence

__all__ = ["_on", "admin", "armed_envelope"]

DOUBTS = {
    "a doubt": {"doubts": ("metrics are partial: 4 of 6 nodes report GPUs",)},
    "partial": {"states": {"metrics": "partial"}},
    "stale": {"states": {"metrics": "stale"}},
    "down": {"states": {"cluster": "down"}},
    "of unknown age": {"ages_s": {"metrics": None}},
}


def doubtful(what: str):
    return small(evidence=evidence().model_copy(update=DOUBTS[what]))


@pytest.mark.parametrize("what", DOUBTS)
def test_an_envelope_approves_nothing_whose_input_is_in_doubt(armed_envelope, what):
    envelope = armed_envelope()
    assert by_loop(doubtful(what)).state == "proposed"
    envelope.refresh_from_db()
    assert envelope.used_gpus == 0


def test_an_envelope_still_approves_what_rests_on_certain_input(armed_envelope):
    armed_envelope()
    certain = evidence().model_copy(
        update={"states": {"metrics": "live", "cluster": "delayed"}, "ages_s": {"metrics": 8.0}}
    )
    assert by_loop(small(evidence=certain)).state == "approved"


def test_the_checker_finds_a_doubtful_plan_that_an_envelope_approved(armed_envelope):
    armed_envelope()
    plan, document = by_loop(), doubtful("a doubt")
    text, hashed = document.model_dump(mode="json", by_alias=True), plan_hash(document)
    Plan.objects.filter(id=plan.id).update(document=text, hash=hashed)
    Approval.objects.filter(plan=plan).update(plan_hash=hashed)

    history = read_history()
    (row,) = (p for p in history.plans if p.id == str(plan.id))
    (given,) = history.approvals
    found = list(not_covered(row, given, history.envelopes))
    assert len(found) == 1
    assert found[0].endswith("though its input was in doubt")
