"""Addresses of plans."""

from django.urls import path

from infra_console.plans import decisions, rollback_views, views

app_name = "plans"
urlpatterns = [
    path("", views.index, name="index"),
    path("arming/", views.arming, name="arming"),
    path("arming/pairs", decisions.arm, name="arm"),
    path("arming/killswitch", decisions.killswitch, name="killswitch"),
    path("<uuid:plan_id>/", views.detail, name="detail"),
    path("<uuid:plan_id>/approve", decisions.approve, name="approve"),
    path("<uuid:plan_id>/reject", decisions.reject, name="reject"),
    path("<uuid:plan_id>/withdraw", decisions.withdraw, name="withdraw"),
    path("<uuid:plan_id>/way-back/", rollback_views.page, name="way-back"),
    path("<uuid:plan_id>/<slug:verb>", decisions.control, name="control"),
]
