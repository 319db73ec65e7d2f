"""Celery's doors. Each may run twice without harm."""

from uuid import UUID

from celery import shared_task

from infra_console.plans import services
from infra_console.plans.approving import asking, break_glass, in_advance
from infra_console.plans.executing import executor, sweep
from infra_console.plans.looking import answers as looking
from infra_console.plans.looking import looks
from infra_console.plans.settling import settlement
from infra_console.plans.taking_back import handing


@shared_task(name="plans.execute")
def execute_plan(plan_id: str) -> str:
    return executor.execute(UUID(plan_id))


@shared_task(name="plans.look")
def look(plan_id: str, kind: str) -> str:
    return looking.answer(UUID(plan_id), kind)


@shared_task(name="plans.send_looks")
def send_looks() -> int:
    return looks.send_unanswered()


@shared_task(name="plans.sweep")
def sweep_plans() -> int:
    return sweep.sweep()


@shared_task(name="plans.settle_due")
def settle_due() -> int:
    return settlement.settle_due()


@shared_task(name="plans.expire_due")
def expire_due() -> int:
    return services.expire_due()


@shared_task(name="plans.return_unused")
def return_unused() -> int:
    return in_advance.return_unused()


@shared_task(name="plans.ask_next")
def ask_next() -> int:
    return asking.ask_next()


@shared_task(name="plans.hand_back")
def hand_back(cluster_id: str) -> int:
    return handing.hand_back_due(cluster_id)


@shared_task(name="plans.send_hand_backs")
def send_hand_backs() -> int:
    return handing.send_due()


@shared_task(name="plans.flag_unratified")
def flag_unratified() -> int:
    return break_glass.flag_unratified()
