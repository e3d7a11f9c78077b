import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from crystalgnn_core.errors import ConfigError
from crystalgnn_core.records.crystal import structure_digest
from crystalgnn_core.sources.synthetic.source import SyntheticSource, truth
from crystalgnn_core.targets import TARGETS

IN_ANOTHER_PROCESS = """
from crystalgnn_core.records.crystal import structure_digest
from crystalgnn_core.sources.synthetic.source import SyntheticSource
source = SyntheticSource(n_structures=30, seed=4)
for record in source.read(source.parts()[0]):
    print(structure_digest(record.crystal), *map(repr, record.labels.values()))
"""


def read_all(source):
    return [record for part in source.parts() for record in source.read(part)]


def fingerprint(records):
    return [(r.material_id, structure_digest(r.crystal), r.labels) for r in records]


@pytest.fixture(scope="module")
def table():
    return truth(SyntheticSource(n_structures=400)).to_pandas()


def test_parts_cover_every_crystal_once():
    source = SyntheticSource(n_structures=25, part_size=10)
    ids = [record.material_id for record in read_all(source)]
    assert ids == [f"syn-0-0-{index:05d}" for index in range(25)]
    assert [part.index for part in source.parts()] == [0, 1, 2]


def test_more_structures_or_other_parts_leave_the_first_ones_as_they_are():
    few = read_all(SyntheticSource(n_structures=12))
    many = read_all(SyntheticSource(n_structures=20, part_size=7))
    assert fingerprint(few) == fingerprint(many)[:12]


def test_another_process_makes_the_same_crystals_and_labels():
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_ANOTHER_PROCESS],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    records = read_all(SyntheticSource(n_structures=30, seed=4))
    lines = [
        " ".join([structure_digest(r.crystal), *map(repr, r.labels.values())])
        for r in records
    ]
    assert output.splitlines() == lines


def test_batches_and_seeds_share_neither_ids_nor_crystals():
    sources = [
        SyntheticSource(n_structures=60, seed=seed, batch=batch)
        for seed, batch in [(0, 0), (0, 1), (1, 0)]
    ]
    records = [record for source in sources for record in read_all(source)]
    assert len({record.material_id for record in records}) == 180
    assert len({structure_digest(record.crystal) for record in records}) == 180


def test_withheld_labels_are_absent_from_the_records_but_known_to_the_truth():
    source = SyntheticSource(n_structures=15, with_labels=False)
    assert source.require_labels == "none"
    records = read_all(source)
    assert all(not record.labels and not record.label_schemes for record in records)
    labelled = read_all(SyntheticSource(n_structures=15))
    true = truth(source).to_pylist()
    for record, row in zip(labelled, true, strict=True):
        assert record.material_id == row["material_id"]
        assert record.labels == {name: row[name] for name in record.labels}


def test_records_say_that_they_are_synthetic():
    for record in read_all(SyntheticSource(n_structures=10)):
        assert set(record.label_schemes) == set(SyntheticSource().target_names())
        assert set(record.label_schemes.values()) == {"synthetic-1"}
        assert record.source_version == "synthetic-1"
        assert record.license == "CC0-1.0"
        assert record.last_updated is None


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"batch": 1}, {"prefix": "x"}, {"with_labels": False}]
)
def test_part_digests_follow_what_decides_the_content(change):
    digest = SyntheticSource(n_structures=10).parts()[0].digest
    assert SyntheticSource(n_structures=10, **change).parts()[0].digest != digest
    assert SyntheticSource(n_structures=10, name="other").parts()[0].digest == digest


def test_labels_are_plausible(table):
    for name in SyntheticSource().target_names():
        assert table[name].between(TARGETS[name].minimum, TARGETS[name].maximum).all()
    energy = table["formation_energy_per_atom"]
    assert energy.between(-6.0, 2.0).all()
    assert energy.quantile(0.02) > -4.5
    assert energy.quantile(0.98) < 1.0
    assert table["band_gap"].max() <= 12.0
    assert 0.25 < (table["band_gap"] == 0.0).mean() < 0.5


def test_some_crystals_are_on_the_hull_and_none_below(table):
    assert (table["energy_above_hull"] >= 0.0).all()
    assert 0.05 < (table["energy_above_hull"] < 1e-9).mean() < 0.8


def test_more_competitors_never_lower_a_distance_to_the_hull():
    source = SyntheticSource(n_structures=100)
    alone = truth(source).column("energy_above_hull").to_numpy()
    both = truth(source, SyntheticSource(n_structures=200, batch=1))
    joint = both.column("energy_above_hull").to_numpy()[:100]
    assert (joint >= alone - 1e-9).all()
    assert np.any(joint > alone + 1e-4)


def test_sources_that_share_ids_are_refused():
    source = SyntheticSource(n_structures=3)
    with pytest.raises(ConfigError, match="twice"):
        truth(source, source)


def test_seeds_that_would_collide_are_refused():
    with pytest.raises(ValidationError):
        SyntheticSource(seed=2**32)
