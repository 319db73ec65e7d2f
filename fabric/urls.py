"""Addresses of the fabric."""

from django.urls import path

from fabric import views

app_name = "fabric"
urlpatterns = [
    path("", views.index, name="index"),
    path("rebuild", views.rebuild, name="rebuild"),
    path("chart", views.chart, name="chart"),
]
