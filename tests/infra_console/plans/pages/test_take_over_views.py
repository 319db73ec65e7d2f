"""Taking fields over, on the arming page: who may, what is asked, what is unknown."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.cluster import owned
from infra_console.cluster.models import OwnedLook, TakeOver
from infra_console.cluster.takeovers import allow_take_over
from infra_console.plans.models import TakenField
from infra_console.plans.safety import arm, disarm
from infra_console.plans.services import propose_plan
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import spec
from tests.people import person

FOUND = {
    "kind": "HorizontalPodAutoscaler", "manager": "argocd-controller", "applies": True,
    "objects": 2, "names": ["inference/chat", "inference/embed"],
}  # fmt: skip
FORM = {
    "cluster": CLUSTER, "kind": FOUND["kind"], "manager": FOUND["manager"], "reason": "agreed",
    "sure": "yes",
}  # fmt: skip
ALLOW, BACK, LOOK = (f"/plans/arming/owned/{verb}" for verb in ("allow", "hand-back", "look"))


def as_role(*roles: str, **options) -> Client:
    client = Client(**options)
    client.force_login(User.objects.filter(username="-".join(roles)).first() or person(*roles))
    return client


@pytest.fixture
def seen(named_cluster):
    now = timezone.now()
    OwnedLook.objects.create(
        cluster=CLUSTER, asked_at=now, answered_at=now, seen_at=now, found=[FOUND]
    )


def page(client: Client) -> str:
    answer = client.get("/plans/arming/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_names_the_owner_the_field_and_how_many(seen):
    text = page(as_role("viewer"))
    assert "the bounds of a HorizontalPodAutoscaler" in text
    assert "argocd-controller" in text and "inference/chat, inference/embed" in text
    assert "left alone" in text
    assert "needs the right cluster.take_over (role admin)" in text


def test_an_admin_takes_over_once_with_a_reason_and_hands_it_back(seen):
    admin = as_role("admin")
    answer = admin.post(ALLOW, FORM, follow=True).content.decode()
    assert "it goes back once its tier is disarmed" in answer
    leave = TakeOver.objects.get()
    assert (leave.kind, leave.manager, leave.by, leave.reason) == (
        FOUND["kind"], "argocd-controller", "admin", "agreed"
    )  # fmt: skip
    assert "“agreed”" in page(admin)
    admin.post(BACK, FORM | {"reason": "over"})
    assert not TakeOver.objects.exists()
    rows = AuditRow.objects.order_by("seq").values_list("action", "actor")
    assert list(rows) == [
        ("cluster.take_over_allowed", "admin"), ("cluster.take_over_forbidden", "admin")
    ]  # fmt: skip


@pytest.mark.parametrize("role", ["viewer", "planner", "approver", "operator"])
def test_only_admins_take_over_and_hand_back(seen, role):
    client = as_role(role)
    assert client.post(ALLOW, FORM).status_code == 403
    assert client.post(BACK, FORM).status_code == 403
    assert not TakeOver.objects.exists()


def test_it_is_confirmed_posted_and_from_our_own_page(seen):
    assert as_role("admin").get(ALLOW).status_code == 405
    assert as_role("admin", enforce_csrf_checks=True).post(ALLOW, FORM).status_code == 403
    client = as_role("admin")
    unsure = {k: v for k, v in FORM.items() if k != "sure"}
    assert "Confirm that its owner" in client.post(ALLOW, unsure, follow=True).content.decode()
    silent = client.post(ALLOW, FORM | {"reason": " "}, follow=True).content.decode()
    assert "say why" in silent
    assert "There is no kind" in client.post(
        ALLOW, FORM | {"kind": "Secret"}, follow=True
    ).content.decode()  # fmt: skip
    assert not TakeOver.objects.exists()


def test_a_cluster_that_is_away_is_unknown_from_here(seen):
    OwnedLook.objects.update(problem="list nodes: connection refused", unread=["NodePool"])
    text = page(as_role("admin"))
    assert "Unknown from here: list nodes: connection refused" in text
    assert "What follows was seen" in text
    assert "our identity may not read NodePool" in text


def test_before_anybody_looked_it_is_unknown_not_free(named_cluster):
    text = page(as_role("admin"))
    assert "Unknown: nobody has looked yet" in text
    assert "Nobody but us owns" not in text


def test_operators_may_ask_workers_to_look_and_viewers_may_not(
    named_cluster, monkeypatch, django_capture_on_commit_callbacks
):
    sent: list[str] = []
    monkeypatch.setattr(owned, "_send", sent.append)
    with django_capture_on_commit_callbacks(execute=True):
        assert as_role("viewer").post(LOOK).status_code == 403
        as_role("operator").post(LOOK)
    assert sent == [CLUSTER]
    assert "A worker was asked to look" in page(as_role("viewer"))


def taken(**changes) -> TakenField:
    plan = propose_plan(spec(), authors=["planner"])
    fields = {
        "cluster": CLUSTER, "context": CLUSTER, "tier": "inference", "kind": FOUND["kind"],
        "namespace": "inference", "name": "chat", "field": "/spec/minReplicas", "plan": plan,
        "managers": [{"name": FOUND["manager"], "applies": True}], "step": "s",
        "taken_at": timezone.now(),
    }  # fmt: skip
    return TakenField.objects.create(**fields | changes)


def test_the_page_says_what_is_still_ours_why_it_goes_back_and_what_is_in_the_way(seen):
    operator = person("operator")
    allow_take_over(
        CLUSTER, FOUND["kind"], manager=FOUND["manager"], by=person("admin"), reason="adopted"
    )
    arm(CLUSTER, "inference", by=operator, hours=1)
    row, client = taken(), as_role("viewer")
    text = page(client)
    assert "minReplicas of HorizontalPodAutoscaler inference/chat" in text
    assert "1 field ours while armed" in text
    disarm(CLUSTER, "inference", by=operator)
    TakenField.objects.update(outcome="the kill switch is engaged")
    text = page(client)
    assert "1 field still ours; handing back" in text
    assert f"{CLUSTER}/inference is not armed" in text
    assert "last try: the kill switch is engaged" in text
    outcome = f"handed back to {FOUND['manager']}, as 3"
    TakenField.objects.filter(id=row.pk).update(outcome=outcome, handed_at=timezone.now())
    text = page(client)
    assert "still ours; handing" not in text and outcome in text
