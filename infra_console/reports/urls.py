"""Addresses of the reports."""

from django.urls import path

from infra_console.reports import views

app_name = "reports"
urlpatterns = [
    path("", views.index, name="index"),
    path("schedule/<str:kind>", views.schedule, name="schedule"),
    path("make/<str:kind>", views.make, name="make"),
    path("deliveries/<int:delivery_id>/again", views.again, name="again"),
    path("<int:report_id>/mail", views.mail, name="mail"),
    path("<int:report_id>/text", views.text, name="text"),
    path("<int:report_id>/csv", views.csv, name="csv"),
]
