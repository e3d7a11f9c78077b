import numpy as np
import pytest

from crystalgnn_core.errors import InputError
from crystalgnn_core.records.crystal import structure_digest
from crystalgnn_core.screening.candidates import (
    candidates_digest,
    load_crystals,
    read_candidates,
)
from tests.core.worlds import CANDIDATES


def test_candidates_come_in_order_with_the_labels_set_apart(built_store):
    frame = read_candidates(built_store, ["synthetic", "candidates"])
    assert len(frame) == 120
    keys = list(zip(frame["source"], frame["candidate_id"], strict=True))
    assert keys == sorted(keys)
    assert "band_gap" not in frame
    assert frame["band_gap_true"].notna().all()


def test_no_source_and_an_unknown_source_are_named(built_store):
    with pytest.raises(InputError, match=r"screening\.sources"):
        read_candidates(built_store, [])
    with pytest.raises(InputError, match="'wbm'"):
        read_candidates(built_store, ["candidates", "wbm"])


def test_the_digest_follows_ids_and_structures_but_not_labels(built_store):
    frame = read_candidates(built_store, ["candidates"])
    digest = candidates_digest(frame)
    assert candidates_digest(frame.assign(band_gap_true=0.0)) == digest
    for column in ("source", "candidate_id", "structure_digest"):
        changed = frame.copy()
        changed.loc[3, column] = "other"
        assert candidates_digest(changed) != digest
    assert candidates_digest(frame.head(-1)) != digest


def test_crystals_are_read_as_they_were_made(built_store):
    frame = read_candidates(built_store, ["candidates"])
    wanted = frame["structure_digest"].iloc[[2, 7]].tolist()
    found = load_crystals(built_store, ["candidates"], wanted)
    assert set(found) == set(wanted)
    for key, index in zip(wanted, (2, 7), strict=True):
        expected = CANDIDATES.crystal(index)
        assert structure_digest(found[key]) == key
        assert np.array_equal(found[key].frac_coords, expected.frac_coords)
        assert np.array_equal(found[key].atomic_numbers, expected.atomic_numbers)
    assert load_crystals(built_store, ["candidates"], []) == {}
