"""Somebody else who writes to the cluster, through its API and under another name."""

import random
import threading
from typing import Any

from kubernetes.client import ApiException, CoreV1Api
from kubernetes.config import new_client_from_config
from urllib3.exceptions import HTTPError


class Stranger:
    """An operator, a health agent, or a script: whoever does not ask us."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        self._client = new_client_from_config(kubeconfig, context)
        self._client.user_agent = "somebody-else"
        self._api = CoreV1Api(self._client)

    def close(self) -> None:
        self._client.close()

    def set_label(self, node: str, key: str, value: str | None) -> None:
        self._patch(node, {"metadata": {"labels": {key: value}}})

    def annotate(self, node: str, **notes: str) -> None:
        named = {f"stranger/{key}": value for key, value in notes.items()}
        self._patch(node, {"metadata": {"annotations": named}})

    def close_node(self, node: str) -> None:
        self._patch(node, {"spec": {"unschedulable": True}})

    def open_node(self, node: str) -> None:
        self._patch(node, {"spec": {"unschedulable": None}})

    def delete_node(self, node: str) -> None:
        self._api.delete_node(node)

    def _patch(self, node: str, body: dict[str, Any]) -> None:
        self._api.patch_node(node, body, field_manager="somebody-else")


class Busy:
    """A thread in which strangers annotate every node and cordon some, all the time."""

    def __init__(
        self, stranger: Stranger, nodes: list[str], touched: str, rng: random.Random
    ) -> None:
        self._stranger, self._nodes, self._touched, self._rng = stranger, nodes, touched, rng
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.writes = 0

    def __enter__(self) -> "Busy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)

    def _work(self) -> None:
        while not self._over.wait(0.1):
            try:
                self._do_something()
                self.writes += 1
            except (ApiException, HTTPError, OSError):  # the cluster is in trouble: so are they
                continue

    def _do_something(self) -> None:
        # What a plan's node gets is a heartbeat's worth: nothing that the plan relies on.
        if self.writes % 10 == 0:
            self._stranger.annotate(self._touched, beat=str(self.writes))
        other = self._rng.choice(self._nodes)
        self._rng.choice((self._stranger.close_node, self._stranger.open_node))(other)
