"""The patch formats on plain documents."""

import pytest

from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.patches import json_patch, merge_patch, strategic_merge

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
    merged = strategic_merge({"env": [{"name": "A"}]}, {"env": [{"name": "B"}]})
    assert [e["name"] for e in merged["env"]] == ["B", "A"]


def test_strategic_merge_honours_its_directives():
    held = {"env": [{"name": "A"}, {"name": "B"}], "finalizers": ["x", "y"]}
    deleted = strategic_merge(held, {"env": [{"name": "A", "$patch": "delete"}]})
    assert deleted["env"] == [{"name": "B"}]
    replaced = strategic_merge(held, {"env": [{"name": "C"}, {"$patch": "replace"}]})
    assert replaced["env"] == [{"name": "C"}]
    assert strategic_merge(held, {"$deleteFromPrimitiveList/finalizers": ["x"]})["finalizers"] == [
        "y"
    ]
