"""The servers that every other test leans on."""

import socket

import pytest
import redis
from django.db import connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers import SERVERS, NetworkBlocked


@pytest.mark.django_db
def test_django_talks_to_the_embedded_postgres():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), inet_server_port()")
        name, port = cursor.fetchone()
    assert name == "test_infra_console"
    assert str(port) in SERVERS.database_url


def test_valkey_refuses_a_client_without_its_password(broker_url):
    with redis.Redis.from_url(broker_url) as client:
        assert client.ping()
    port = client.connection_pool.connection_kwargs["port"]
    with (
        redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("2001:db8::1", 80, 0, 0)])
def test_a_test_cannot_reach_beyond_loopback(address):
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as outside, pytest.raises(NetworkBlocked):
        outside.connect(address)
