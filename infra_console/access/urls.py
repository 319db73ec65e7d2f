"""Addresses of sign-in."""

from django.urls import path

from infra_console.access.views import SignIn, SignOut

app_name = "access"
urlpatterns = [
    path("login", SignIn.as_view(), name="login"),
    path("logout", SignOut.as_view(), name="logout"),
]
