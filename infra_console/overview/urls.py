"""Addresses of the first page and of the frame's own parts."""

from django.urls import path

from infra_console.overview import views

app_name = "overview"
urlpatterns = [
    path("", views.index, name="index"),
    path("shell/freshness", views.freshness, name="freshness"),
    path("shell/badges", views.badges, name="badges"),
    path("shell/waiting", views.waiting, name="waiting"),
]
