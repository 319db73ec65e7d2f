"""The patch formats on plain documents."""

import pytest

from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.json_patch import json_patch
from tiers.twin.kube.patches import merge_patch, strategic_merge
from tiers.twin.kube.resources import DEPLOYMENTS, NODES, PDBS
from tiers.twin.kube.shapes import SET, fields, keyed, shape_of

SHAPE = fields(env=keyed("name"), finalizers=SET)
DOCUMENT = {"a": {"b": [1, 2, 3]}, "m~n/o": True}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/a/b/-", "value": 4}, {"a": {"b": [1, 2, 3, 4]}, "m~n/o": True}),
        ({"op": "add", "path": "/a/b/0", "value": 0}, {"a": {"b": [0, 1, 2, 3]}, "m~n/o": True}),
        ({"op": "remove", "path": "/m~0n~1o"}, {"a": {"b": [1, 2, 3]}}),
        ({"op": "replace", "path": "/a/b", "value": []}, {"a": {"b": []}, "m~n/o": True}),
        ({"op": "move", "from": "/a/b", "path": "/c"}, {"a": {}, "m~n/o": True, "c": [1, 2, 3]}),
        ({"op": "test", "path": "/absent", "value": None}, DOCUMENT),
    ],
)
def test_json_patch_does_as_rfc_6902_says(operation, expected):
    assert json_patch(DOCUMENT, [operation]) == expected
    assert DOCUMENT == {"a": {"b": [1, 2, 3]}, "m~n/o": True}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a/b/0", "value": 2},
        {"op": "test", "path": "/m~0n~1o", "value": 1},
        {"op": "remove", "path": "/absent"},
        {"op": "replace", "path": "/absent", "value": 1},
        {"op": "add", "path": "/a/b/9", "value": 1},
        {"op": "add", "path": "/x/y", "value": 1},
    ],
)
def test_json_patch_that_cannot_be_done_is_unprocessable(operation):
    with pytest.raises(ApiError) as caught:
        json_patch(DOCUMENT, [operation])
    assert caught.value.code == 422


def test_merge_patch_replaces_lists_and_removes_nulls():
    assert merge_patch({"a": [1], "b": {"c": 1, "d": 2}}, {"a": [2], "b": {"c": None}}) == {
        "a": [2],
        "b": {"d": 2},
    }


def test_strategic_merge_puts_new_elements_first_as_the_real_one_does():
    merged = strategic_merge({"env": [{"name": "A"}]}, {"env": [{"name": "B"}]}, SHAPE)
    assert [e["name"] for e in merged["env"]] == ["B", "A"]


def test_strategic_merge_honours_its_directives():
    held = {"env": [{"name": "A"}, {"name": "B"}], "finalizers": ["x", "y"]}
    deleted = strategic_merge(held, {"env": [{"name": "A", "$patch": "delete"}]}, SHAPE)
    assert deleted["env"] == [{"name": "B"}]
    replaced = strategic_merge(held, {"env": [{"name": "C"}, {"$patch": "replace"}]}, SHAPE)
    assert replaced["env"] == [{"name": "C"}]
    removed = strategic_merge(held, {"$deleteFromPrimitiveList/finalizers": ["x"]}, SHAPE)
    assert removed["finalizers"] == ["y"]


def pod_spec(**fields):
    return {"spec": {"template": {"spec": fields}}}


@pytest.mark.parametrize(
    ("resource", "held", "patch", "expected"),
    [
        (
            DEPLOYMENTS,
            pod_spec(tolerations=[{"key": "a"}]),
            pod_spec(tolerations=[{"key": "b"}]),
            pod_spec(tolerations=[{"key": "b"}]),
        ),
        (
            DEPLOYMENTS,
            pod_spec(topologySpreadConstraints=[{"topologyKey": "zone", "maxSkew": 1}]),
            pod_spec(topologySpreadConstraints=[{"topologyKey": "zone", "maxSkew": 2}]),
            pod_spec(topologySpreadConstraints=[{"topologyKey": "zone", "maxSkew": 2}]),
        ),
        (
            NODES,
            {"spec": {"taints": [{"key": "a"}]}},
            {"spec": {"taints": [{"key": "b"}]}},
            {"spec": {"taints": [{"key": "b"}]}},
        ),
        (
            NODES,
            {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
            {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
        ),
        (
            PDBS,
            {"spec": {"selector": {"matchLabels": {"app": "a"}}}},
            {"spec": {"selector": {"matchLabels": {"tier": "b"}}}},
            {"spec": {"selector": {"matchLabels": {"tier": "b"}}}},
        ),
    ],
)
def test_strategic_merge_treats_each_field_as_its_kind_says(resource, held, patch, expected):
    assert strategic_merge(held, patch, shape_of(resource)) == expected


def test_ports_of_a_container_merge_by_number():
    def container(*ports):
        return pod_spec(containers=[{"name": "server", "ports": list(ports)}])

    held, added = {"containerPort": 80, "name": "a"}, {"containerPort": 81}
    merged = strategic_merge(container(held), container(added), shape_of(DEPLOYMENTS))
    assert merged == container(added, held)


def test_an_element_without_its_key_is_a_bad_request():
    with pytest.raises(ApiError) as caught:
        strategic_merge({"env": []}, {"env": [{"value": "x"}]}, SHAPE)
    assert caught.value.code == 400
