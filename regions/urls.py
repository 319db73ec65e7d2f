"""Addresses of the regions."""

from django.urls import path

from regions import views

app_name = "regions"
urlpatterns = [
    path("", views.index, name="index"),
    path("chart", views.chart, name="chart"),
    path("routes/propose", views.propose, name="propose"),
    path("routes/drain", views.drain_region, name="drain"),
    path("routes/open", views.open_region, name="open"),
    path("land.svg", views.land, name="land"),
]
