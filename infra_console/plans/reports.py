"""The plans' sections of a report: what was decided and by whom, and promised against realised."""

from collections import Counter
from collections.abc import Iterable

from infra_console.plans.models import Approval, BreakGlass, Execution, Plan, Settlement
from infra_console.reports.sections import Column, Period, Section, counted, table

NO_PROMISE = "No promise could be measured."
DECISIONS = (
    Column(title="When (UTC)", format="time"), Column(title="Plan"), Column(title="Decision"),
    Column(title="Who"), Column(title="Why"),
)  # fmt: skip
OUTCOMES = (Column(title="Plans, by where they stand"), Column(title="Plans", format="count"))
PROMISES = (
    Column(title="Plan"), Column(title="How"), Column(title="Promise"),
    Column(title="Promised", format="number"), Column(title="Realised", format="number"),
    Column(title="Kept"),
)  # fmt: skip


def decisions(period: Period) -> Section:
    """Plans proposed in the period by where they stand now, and every decision by a person."""
    within = (period.start, period.end)
    states = Counter(Plan.objects.filter(created_at__range=within).values_list("state", flat=True))
    made = Approval.objects.filter(at__range=within).select_related("plan").order_by("at")
    rows = [(_at(a), _plan(a.plan), _decision(a), a.by, a.reason) for a in made]
    carried = Execution.objects.filter(finished_at__range=within, mode="real").count()
    open_glass = BreakGlass.objects.filter(approval__at__range=within, ratified_at=None).count()
    sentences = [
        f"Proposed: {counted(states.total(), 'plan')}. Decided: {counted(len(rows), 'time')}. "
        f"Carried out to the end: {counted(carried, 'plan')}."
    ]
    if open_glass:
        sentences.append(f"Not yet ratified: {counted(open_glass, 'emergency approval')}.")
    return Section(
        key="decisions",
        title="Plans and who decided",
        sentences=tuple(sentences),
        tables=(
            table("Proposed in this period", OUTCOMES, sorted(states.items())),
            table("Decisions", DECISIONS, rows, empty="Nobody decided anything."),
        ),
    )


def _at(approval: Approval) -> str:
    return approval.at.strftime("%Y-%m-%d %H:%M")


def _plan(plan: Plan) -> str:
    return f"{plan.number}: {plan.title}"


def _decision(approval: Approval) -> str:
    word = "rejected" if approval.decision == "reject" else "approved"
    return f"{word}, taken back" if approval.taken_back_at else word


def track_record(period: Period) -> Section:
    """What settled in the period: each promise with what came of it."""
    settled = Settlement.objects.filter(at__range=(period.start, period.end))
    found = list(settled.select_related("plan").order_by("-at"))
    rows = [
        (_plan(s.plan), "shadow" if s.shadow else "carried out", p["title"], p["bound"],
         p["realised"], _kept(p.get("kept")))
        for s in found
        for p in s.promises
    ]  # fmt: skip
    unknown = sum(s.unknown_count for s in found)
    harmful = sum(bool(s.harmful) for s in found if s.shadow)
    sentences = [_share_words("carried out", [s for s in found if not s.shadow])]
    sentences.append(_share_words("in shadow", [s for s in found if s.shadow]))
    if harmful:
        sentences.append(f"Would have hurt, had they been carried out: {counted(harmful, 'plan')}.")
    return Section(
        key="track_record",
        title="Promised against realised",
        sentences=tuple(sentences),
        tables=(table("Promises that settled", PROMISES, rows, empty="Nothing settled."),),
        missing=(f"not measured: {counted(unknown, 'promise')}",) if unknown else (),
    )


def _share_words(how: str, found: Iterable[Settlement]) -> str:
    settled = list(found)
    kept, missed = sum(s.kept_count for s in settled), sum(s.missed_count for s in settled)
    share = f"Promises kept: {kept} of {kept + missed}." if kept + missed else NO_PROMISE
    return f"Settled, {how}: {counted(len(settled), 'plan')}. {share if settled else ''}".strip()


def _kept(kept: bool | None) -> str | None:
    return None if kept is None else "kept" if kept else "missed"
