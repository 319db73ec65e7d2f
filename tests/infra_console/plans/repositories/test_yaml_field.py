"""One value of a YAML file changed in place."""

import pytest

from infra_console.plans.errors import FieldUnusable
from infra_console.plans.repositories.yaml_field import find_field, replace_field

TEXT = """# who serves   chat
apiVersion: apps/v1
kind: Deployment
metadata: {name: chat, labels: {team: "blue"}}
spec:
  replicas:   3   # peak is 5
  paused: false
---
kind: ResourceQuota
metadata:
  name: gpus
spec:
  hard:
    "requests.nvidia.com/gpu": '64'
    limits: [1, 2]
"""
REPLICAS, HARD = ["spec", "replicas"], ["spec", "hard", "requests.nvidia.com/gpu"]
CHAT, QUOTA = {"kind": "Deployment", "name": "chat"}, {"kind": "ResourceQuota", "name": "gpus"}


def test_every_other_byte_stays():
    after = replace_field(TEXT, REPLICAS, "12", **CHAT)
    assert after == TEXT.replace("replicas:   3   #", "replicas:   12   #")


def test_quotes_stay_and_keys_with_dots_are_one_key():
    assert find_field(TEXT, HARD, **QUOTA).value == "64"
    assert replace_field(TEXT, HARD, "72", **QUOTA) == TEXT.replace("'64'", "'72'")


def test_a_position_in_a_list_is_a_step_of_the_path():
    after = replace_field(TEXT, ["spec", "hard", "limits", 1], "9", **QUOTA)
    assert after == TEXT.replace("[1, 2]", "[1, 9]")


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("spec: {}", REPLICAS, "spec.replicas is not written down in the file"),
        ("spec: {replicas: [1]}", REPLICAS, "is no plain value"),
        ("spec: {replicas: &n 3}\nother: *n", REPLICAS, "is shared with other places"),
        ("a: &a {replicas: 3}\nspec: *a", REPLICAS, "is shared with other places"),
        ("spec: [", REPLICAS, "the file is no YAML"),
        ("a: 1\n---\nb: 2", REPLICAS, "the file holds 0 documents"),
    ],
)
def test_what_cannot_be_changed_by_itself_is_refused(text, path, said):
    with pytest.raises(FieldUnusable, match=said):
        replace_field(text, path, "4", **CHAT)


@pytest.mark.parametrize("value", ["1\nevil: 2", "", "*a", "-1", "a: b", "{}"])
def test_a_value_that_is_more_than_a_value_is_refused(value):
    with pytest.raises(FieldUnusable, match="without doubt"):
        replace_field(TEXT, REPLICAS, value, **CHAT)
