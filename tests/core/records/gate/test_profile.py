import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.records.gate.distribution import QUANTILES, Distribution
from crystalgnn_core.records.gate.profile import (
    MAX_VERSIONS,
    OTHERS,
    RecordProfile,
    profile_rows,
)
from tests.core.records.made_rows import ENERGY, GAP, rows, with_columns

TABLE = rows(100)


def profile(*tables, **rejected):
    return profile_rows("s", 3, tables, rejected)


def test_a_profile_says_what_the_rows_hold():
    known = profile(TABLE, missing_label=2, no_atoms=1)
    energies, gaps = (TABLE[name].to_numpy() for name in (ENERGY, GAP))
    found = known.targets[ENERGY]
    assert (found.labels.n, found.n_missing) == (100, 0)
    assert found.labels.mean == pytest.approx(np.mean(energies))
    assert found.labels.std == pytest.approx(np.std(energies))
    assert found.labels.quantile(0.5) == pytest.approx(np.median(energies))
    assert found.labels.quantiles[-1] == found.labels.maximum == energies.max()
    assert found.schemes == {"MP GGA/GGA+U MP2020": 100}
    nonzero = known.targets[GAP].nonzero
    assert nonzero is not None
    assert nonzero.n == (gaps != 0).sum()
    assert list(known.targets) == [ENERGY, GAP]
    systems = TABLE["chemsys"].to_pylist()
    assert known.elements["Fe"] == sum("Fe" in name.split("-") for name in systems)
    assert known.licenses == {"CC-BY-4.0": 100}
    assert known.run_types == {"(none)": 100}
    assert known.source_versions == {"2026.1": 100}
    assert (known.n_rejected, known.reject_share) == (3, pytest.approx(3 / 103))


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 100))
def test_a_profile_depends_neither_on_the_order_nor_on_the_batches(seed, cut):
    shuffled = TABLE.take(np.random.default_rng(seed).permutation(100))
    assert profile(shuffled.slice(0, cut), shuffled.slice(cut)) == profile(TABLE)


def test_the_content_tells_of_any_change():
    energies = TABLE[ENERGY].to_pylist()
    energies[7] += 1e-9
    others = (
        with_columns(TABLE, **{ENERGY: energies}),
        TABLE.slice(1),
        pa.concat_tables([TABLE, TABLE.slice(0, 1)]),
    )
    contents = {profile(table).content for table in (TABLE, *others)}
    assert len(contents) == 4


def test_many_releases_are_cut_short():
    names = [f"v{index % 50:02d}" for index in range(100)]
    known = profile(with_columns(TABLE, source_version=names)).source_versions
    assert len(known) == MAX_VERSIONS + 1
    assert known[OTHERS] == 100 - 2 * MAX_VERSIONS


def test_a_source_without_rows_has_a_profile():
    known = profile()
    assert (known.n_rows, known.targets, known.n_sites) == (0, {}, None)
    assert known.reject_share == 0.0
    assert known.label_share(ENERGY) == 0.0


def test_a_profile_comes_back_from_json():
    known = profile(TABLE)
    assert RecordProfile.model_validate_json(known.model_dump_json()) == known


def test_quantiles_are_symmetric():
    assert np.allclose(np.array(QUANTILES) + np.array(QUANTILES[::-1]), 1.0)
    assert Distribution.of(np.empty(0)) is None
