"""Addresses of overview."""

from django.urls import path

from infra_console.overview import views

app_name = "overview"
urlpatterns = [path("", views.index, name="index")]
