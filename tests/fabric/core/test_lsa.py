"""The embedding learned from a collection: repeatable, of unit length, honest about the unknown."""

import numpy as np
import pytest

from fabric.core.errors import FabricInvalid, NotFinite, WrongDimension
from fabric.core.lsa import embed_texts, fit_lsa
from fabric.core.vectors import checked, nearest

TEXTS = [
    "the wing in a slipstream", "lift of a wing in the slipstream of a propeller",
    "heat conduction in slabs", "heat flow through composite slabs",
    "memory of a digital computer", "a digital computer with magnetic memory",
]  # fmt: skip


def embedded(model, texts):
    return embed_texts(model, texts, {f: i for i, f in enumerate(model.features)})


def test_texts_of_one_subject_are_nearest():
    model = fit_lsa(TEXTS, dimension=4, seed=1)
    vectors, known = embedded(model, TEXTS)
    assert known.all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    (query,), _ = embedded(model, ["conduction of heat"])
    rows, _ = nearest(vectors, query, 2)
    assert set(rows) == {2, 3}


def test_the_same_texts_give_the_same_version():
    versions = {fit_lsa(TEXTS, dimension=4, seed=1).version for _ in range(2)}
    assert len(versions) == 1
    assert fit_lsa(TEXTS[:-1], dimension=4, seed=1).version not in versions


def test_a_text_of_unknown_words_has_no_direction():
    model = fit_lsa(TEXTS, dimension=4, seed=1)
    vectors, known = embedded(model, ["zyzzyva", ""])
    assert not known.any()
    assert not vectors.any()


def test_texts_without_common_words_teach_nothing():
    with pytest.raises(FabricInvalid, match="too few words"):
        fit_lsa(["one", "two", "three"], dimension=4, seed=1)


def test_bad_vectors_are_refused_by_name():
    good = np.eye(3, dtype=np.float32)
    assert checked(good, 3).shape == (3, 3)
    with pytest.raises(WrongDimension, match="3 dimensions, the index has 4"):
        checked(good, 4)
    with pytest.raises(NotFinite):
        checked(np.full((1, 3), np.nan, dtype=np.float32), 3)
    with pytest.raises(FabricInvalid, match="unit length"):
        checked(good * 2, 3)
