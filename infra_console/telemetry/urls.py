"""Addresses of the data sources' page."""

from django.urls import path

from infra_console.telemetry import views

app_name = "sources"
urlpatterns = [
    path("", views.index, name="index"),
    path("expected", views.expected, name="expected"),
    path("<str:source_id>/", views.edit, name="edit"),
    path("<str:source_id>/save", views.save, name="save"),
    path("<str:source_id>/remove", views.remove, name="remove"),
    path("<str:source_id>/test", views.test, name="test"),
]
