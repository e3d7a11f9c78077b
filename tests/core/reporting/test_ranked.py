import pyarrow as pa
import pytest

from crystalgnn_core.errors import LabelSchemeError
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.reporting.ranked import true_hull_distances
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.sources.synthetic.source import truth
from tests.core.worlds import CANDIDATES, SOURCE, in_memory, ingest


def hull_of(store, candidates):
    return true_hull_distances(store, candidates)


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
