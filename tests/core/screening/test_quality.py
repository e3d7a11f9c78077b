import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crystalgnn_core.errors import LabelSchemeError
from crystalgnn_core.records.label_schemes import MBJ, MP_2020
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.config import ScoreConfig
from crystalgnn_core.screening.quality import judge_ranking, true_hull_distances
from crystalgnn_core.sources.synthetic.source import truth
from tests.core.worlds import CANDIDATES, SOURCE, in_memory, ingest

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
CONFIG = ScoreConfig(energy_weight=1.0, gap_window=(1.0, 2.0))


def judge(frame, config, k):
    return judge_ranking(frame, config, k)


def hull_of(store, candidates):
    return true_hull_distances(store, candidates)


def ranking(predicted, true, gaps=None):
    """A ranking in the given order; with weight 1 the score falls with the energy."""
    n = len(true)
    return pd.DataFrame(
        {
            "score": -np.array(predicted),
            ENERGY: predicted,
            f"{ENERGY}_true": true,
            GAP: [1.5] * n,
            f"{GAP}_true": gaps or [1.5] * n,
        }
    )


def test_a_perfect_ranking():
    energies = [-4.0, -3.0, -2.0, -1.0]
    quality = judge(ranking(energies, energies), CONFIG, 2)
    assert (quality.n, quality.k) == (4, 2)
    assert quality.precision == 1.0
    assert quality.enrichment == 2.0  # half of a random order would be right
    assert quality.energy_spearman == quality.score_spearman == pytest.approx(1.0)
    assert quality.energy_mae == quality.gap_mae == 0.0


def test_a_reversed_ranking():
    quality = judge(ranking([-4.0, -3.0, -2.0, -1.0], [-1.0, -2.0, -3.0, -4.0]), CONFIG, 2)
    assert quality.precision == quality.enrichment == 0.0
    assert quality.energy_spearman == pytest.approx(-1.0)
    assert quality.energy_mae == pytest.approx(2.0)  # of 3, 1, 1, 3
    assert quality.energy_offset == pytest.approx(0.0)


def test_an_offset_between_schemes_is_told_apart_from_scatter():
    true = [-4.0, -3.0, -2.0]
    quality = judge(ranking([e + 0.5 for e in true], true), CONFIG, 2)
    assert quality.energy_offset == quality.energy_mae == pytest.approx(0.5)
    assert quality.precision == 1.0


def test_equal_true_scores_do_not_look_like_success():
    quality = judge(ranking([-4.0, -3.0, -2.0, -1.0], [-2.0] * 4), CONFIG, 2)
    assert quality.precision == 0.5  # two places for four equals
    assert quality.enrichment == 1.0
    assert quality.score_spearman == 0.0


def test_shares_in_the_window_are_those_of_the_top_and_of_all():
    energies = [-4.0, -3.0, -2.0, -1.0]
    quality = judge(ranking(energies, energies, [1.0, 9.0, 9.0, 9.0]), CONFIG, 2)
    assert (quality.in_window, quality.in_window_base) == (0.5, 0.25)


def test_candidates_without_a_known_value_are_left_out():
    energies = [-4.0, -3.0, -2.0]
    frame = ranking(energies, [-4.0, np.nan, -2.0])
    assert judge(frame, CONFIG, 50).n == 2
    assert judge(frame.head(2), CONFIG, 50) is None


def test_hull_distances_count_only_when_all_are_known():
    energies = [-4.0, -3.0]
    frame = ranking(energies, energies).assign(energy_above_hull_true=[0.01, 0.2])
    quality = judge(frame, CONFIG, 1)
    assert (quality.near_hull, quality.near_hull_base) == (1.0, 0.5)
    frame.loc[1, "energy_above_hull_true"] = np.nan
    assert judge(frame, CONFIG, 1).near_hull is None


def test_the_true_hull_is_that_of_all_synthetic_records(built_store):
    candidates = read_candidates(built_store, ["candidates", "synthetic"])
    known = candidates[candidates["source"] == "synthetic"]
    found = hull_of(built_store, known)
    assert found.index.equals(known.index)
    # the candidates of the fixture carry labels and compete
    expected = truth(SOURCE, CANDIDATES).to_pandas().set_index("material_id")
    assert found.to_numpy() == pytest.approx(
        expected.loc[known["candidate_id"], "energy_above_hull"].to_numpy(), abs=1e-9
    )


def with_schemes(frame, energies, gaps):
    return frame.assign(
        source="own",
        formation_energy_per_atom_scheme=energies,
        band_gap_scheme=gaps,
    )


def test_known_values_of_two_schemes_are_refused_unless_asked_for():
    energies = [-4.0, -3.0, -2.0]
    plain = ranking(energies, energies)
    mixed = with_schemes(plain, MP_2020, [MP_2020, MBJ, MBJ])
    with pytest.raises(LabelSchemeError) as caught:
        judge(mixed, CONFIG, 2)
    message = str(caught.value)
    assert "band_gap: labels of different schemes" in message
    assert "2 rows of own" in message
    assert "set screening.allow_mixed_schemes: true" in message
    allowed = judge_ranking(mixed, CONFIG, 2, allow_mixed_schemes=True)
    assert allowed == judge(plain, CONFIG, 2)
    # one scheme for each target, and values that are missing, mix nothing
    assert judge(with_schemes(plain, MP_2020, MBJ), CONFIG, 2) == allowed
    lost = ranking(energies, [-4.0, -3.0, np.nan])
    judge(with_schemes(lost, [MP_2020, MP_2020, "own"], MBJ), CONFIG, 2)


def test_a_hull_of_two_schemes_is_refused_unless_asked_for(tmp_path):
    ingest(tmp_path, SOURCE.model_copy(update={"n_structures": 6}))
    older = RecordStore(tmp_path).read(["synthetic"])
    names = ["source", "formation_energy_per_atom_scheme"]
    for name, value in zip(names, ("older", "synthetic-0"), strict=True):
        place = older.column_names.index(name)
        older = older.set_column(place, older.field(name), pa.repeat(value, len(older)))
    RecordStore(tmp_path).replace_records("older", in_memory(older))
    own = read_candidates(tmp_path, ["synthetic"])
    with pytest.raises(LabelSchemeError) as caught:
        true_hull_distances(tmp_path, own)
    assert "(synthetic-0, synthetic-1) in one convex hull" in str(caught.value)
    assert "6 rows of older" in str(caught.value)
    mixed = true_hull_distances(tmp_path, own, allow_mixed_schemes=True)
    assert mixed is not None
    assert mixed.notna().all()


def test_there_is_no_hull_for_candidates_of_another_kind(tmp_path):
    ingest(tmp_path, SOURCE.model_copy(update={"n_structures": 3}))
    withheld = type(SOURCE)(
        name="withheld", prefix="w", n_structures=3, seed=3, with_labels=False
    )
    ingest(tmp_path, withheld)
    assert true_hull_distances(tmp_path, read_candidates(tmp_path, ["withheld"])) is None
    own = read_candidates(tmp_path, ["synthetic"])
    foreign = own.assign(formation_energy_per_atom_scheme="PBE")
    assert true_hull_distances(tmp_path, foreign) is None
    mixed = read_candidates(tmp_path, ["synthetic", "withheld"])
    assert true_hull_distances(tmp_path, mixed) is None
    assert true_hull_distances(tmp_path, own.head(0)) is None
    assert RecordStore(tmp_path).source_counts() == {"synthetic": 3, "withheld": 3}
