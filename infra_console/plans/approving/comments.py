"""What people say about a plan: kept as it was said, shown live, never changed."""

from uuid import UUID

from django.contrib.auth.models import User

from infra_console.plans import clock
from infra_console.plans.errors import CommentEmpty, PlanMissing
from infra_console.plans.lifecycle import journal
from infra_console.plans.models import Comment, Plan
from infra_console.plans.safety import require_right

LONGEST = 4000


def add_comment(plan_id: UUID, *, by: User, text: str) -> Comment:
    """Say something about a plan, in any state.

    Raises:
        NotAllowed, PlanMissing, CommentEmpty: see each; nothing was kept.
    """
    require_right(by, "plan.comment")
    said = text.strip()
    if not 0 < len(said) <= LONGEST:
        raise CommentEmpty(LONGEST)
    with journal() as moves:
        plan = Plan.objects.filter(id=plan_id).first()
        if plan is None:
            raise PlanMissing(plan_id)
        who = by.get_username()
        comment = Comment.objects.create(plan=plan, by=who, at=clock.now(), text=said)
        moves.tell(plan, "plan.commented", who=who, detail={"comment": comment.pk, "text": said})
    return comment
