"""Writes through `events.k8s.io/v1`: read under its names, kept under the core ones."""

from dataclasses import replace as with_changes
from typing import Any

from tiers.twin.kube import events, updates, verbs
from tiers.twin.kube.resources import EVENTS, EVENTS_V1, Obj
from tiers.twin.kube.verbs import Write


def create(write: Write, body: Any) -> Obj:
    """Store a new event. Raises a 422 where the newer API is stricter than the core one."""
    sent = events.to_core(verbs.sent_object(_as_sent(write), body))
    events.refuse_loose(sent)
    return verbs.create(write, sent)


def replace(write: Write, body: Any) -> Obj:
    """Replace an event; nothing but its series and metadata may differ."""
    sent = events.to_core(verbs.sent_object(_as_sent(write), body))
    if before := write.store.find(EVENTS, write.namespace, write.name):
        events.refuse_change(before, sent)
    return updates.replace(write, sent)


def patch(write: Write, content_type: str, body: Any, *, force: bool = False) -> Obj:
    """Patch an event as the newer API shows it."""
    updates.refuse_unsupported(EVENTS_V1, content_type)
    if content_type == updates.APPLY_PATCH:
        sent = events.to_core(updates.applied_object(_as_sent(write), body))
        return updates.apply_object(write, sent, force=force)
    before = write.store.get(EVENTS, write.namespace, write.name)
    after = updates.patched(EVENTS_V1, content_type, events.from_core(before), body)
    sent = events.to_core(verbs.sent_object(_as_sent(write), after))
    events.refuse_change(before, sent)
    return updates.update(write, before, sent)


def _as_sent(write: Write) -> Write:
    return with_changes(write, resource=EVENTS_V1)
