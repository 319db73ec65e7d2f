"""Bodies as kubectl writes them: the envelope, fields of both forms, what is refused."""

import urllib3

from tiers.twin.kube import protobuf
from tiers.twin.kube.protobuf import MEDIA

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def text(number: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def varint(number: int, value: int) -> bytes:
    assert value < 128
    return bytes([number << 3, value])


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    type_meta = text(1, api_version) + text(2, kind)
    return b"k8s\x00" + text(1, type_meta) + text(2, raw)


def sent(running, method: str, path: str, data: bytes):
    url = running.servers.urls()["eastus"] + path
    headers = {"Authorization": "Bearer executor-token", "Content-Type": MEDIA}
    with urllib3.PoolManager(ca_certs=str(running.folder / "ca.crt"), retries=False) as pool:
        return pool.request(method, url, body=data, headers=headers)


def test_delete_options_are_read():
    raw = varint(1, 5) + text(2, text(1, "a-uid")) + text(4, "Foreground") + text(5, "All")
    assert protobuf.read(body("v1", "DeleteOptions", raw)) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 5,
        "preconditions": {"uid": "a-uid"},
        "propagationPolicy": "Foreground",
        "dryRun": ["All"],
    }


def test_labels_and_unknown_fields_are_read_and_skipped():
    label = text(11, text(1, "team") + text(2, "blue"))
    raw = text(1, text(1, "night") + label + varint(7, 3))
    read = protobuf.read(body("v1", "Namespace", raw))
    assert read is not None
    assert read["metadata"] == {"name": "night", "labels": {"team": "blue"}}


def test_kubectl_may_ask_whether_it_may(running):
    asked = text(1, text(1, "night") + text(2, "delete") + text(5, "pods"))
    raw = text(1, b"") + text(2, asked)
    answer = sent(running, "POST", REVIEWS, body("authorization.k8s.io/v1",
                                                 "SelfSubjectAccessReview", raw))  # fmt: skip
    assert (answer.status, answer.json()["status"]["allowed"]) == (201, True)


def test_a_kind_that_is_not_read_so_is_unsupported(running, space):
    data = body("v1", "Secret", text(1, text(1, "held")))
    answer = sent(running, "POST", f"/api/v1/namespaces/{space}/pods", data)
    assert (answer.status, answer.json()["reason"]) == (415, "UnsupportedMediaType")


def test_a_message_cut_short_is_a_bad_request(running):
    whole = body("v1", "Namespace", text(1, text(1, "night")))
    for data in (whole[:-3], b"k8s\x00", b"{}"):
        assert sent(running, "POST", "/api/v1/namespaces", data).status == 400
