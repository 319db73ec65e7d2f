"""Addresses of the fabric."""

from django.urls import URLPattern

app_name = "fabric"
urlpatterns: list[URLPattern] = []
