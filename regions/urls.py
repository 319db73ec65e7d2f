"""Addresses of the regions."""

from django.urls import path

from regions import views

app_name = "regions"
urlpatterns = [
    path("", views.index, name="index"),
    path("chart", views.chart, name="chart"),
    path("land.svg", views.land, name="land"),
]
