"""Addresses of sockets. Only ws/live exists."""

from django.urls import path

from infra_console.live.consumer import LiveConsumer

websocket_urlpatterns = [path("ws/live", LiveConsumer.as_asgi())]
