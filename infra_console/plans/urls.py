"""Addresses of plans."""

from django.urls import path

from infra_console.plans import views

app_name = "plans"
urlpatterns = [path("", views.index, name="index")]
