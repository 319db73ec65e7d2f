"""Addresses of plans."""

from django.urls import path

from infra_console.plans.pages import (
    decisions,
    envelope_views,
    freeze_views,
    look_views,
    rollback_views,
    take_over_views,
    track_views,
    views,
)

app_name = "plans"
urlpatterns = [
    path("", views.index, name="index"),
    path("arming/", views.arming, name="arming"),
    path("arming/pairs", decisions.arm, name="arm"),
    path("arming/killswitch", decisions.killswitch, name="killswitch"),
    path("arming/owned/look", take_over_views.look, name="owned_look"),
    path("arming/owned/allow", take_over_views.allow, name="owned_allow"),
    path("arming/owned/hand-back", take_over_views.hand_back, name="owned_hand_back"),
    path("freezes/", freeze_views.index, name="freezes"),
    path("freezes/add", freeze_views.add, name="freeze_add"),
    path("freezes/<int:window_id>/remove", freeze_views.remove, name="freeze_remove"),
    path("envelopes/", envelope_views.index, name="envelopes"),
    path("envelopes/add", envelope_views.propose, name="envelope_propose"),
    path("envelopes/<int:envelope_id>/<slug:verb>", envelope_views.decide, name="envelope_decide"),
    path("track-record/", track_views.page, name="track-record"),
    path("track-record/<slug:name>", track_views.figure, name="track-figure"),
    path("<uuid:plan_id>/", views.detail, name="detail"),
    path("<uuid:plan_id>/approve", decisions.approve, name="approve"),
    path("<uuid:plan_id>/reject", decisions.reject, name="reject"),
    path("<uuid:plan_id>/withdraw", decisions.withdraw, name="withdraw"),
    path("<uuid:plan_id>/take-back", decisions.take_back, name="take_back"),
    path("<uuid:plan_id>/break-glass", decisions.break_glass, name="break_glass"),
    path("<uuid:plan_id>/ratify", decisions.ratify, name="ratify"),
    path("<uuid:plan_id>/comment", decisions.comment, name="comment"),
    path("<uuid:plan_id>/override-freeze", freeze_views.override, name="freeze_override"),
    path("<uuid:plan_id>/way-back/", rollback_views.page, name="way-back"),
    path("<uuid:plan_id>/looks/<slug:kind>", look_views.ask, name="look"),
    path("<uuid:plan_id>/<slug:verb>", decisions.control, name="control"),
]
