from pathlib import Path

import pytest
from pymatgen.io.cif import CifParser

from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.cifs import cif_name, write_cifs
from tests.core.worlds import CANDIDATES, SCREENING


def test_odd_and_long_ids_make_plain_names_that_differ():
    assert cif_name(3, "NaCl", "a/b c:d") == "0003_NaCl_a_b_c_d.cif"
    long = "x" * 500
    assert cif_name(1, "NaCl", long) != cif_name(2, "NaCl", long)
    assert len(cif_name(10**7, "Na" * 100, long).encode()) <= 255


def test_a_written_cif_holds_the_candidate(built_store, tmp_path):
    ranking = read_candidates(built_store, ["candidates"]).head(3)
    ranking.insert(0, "rank", [1, 2, 3])
    files = write_cifs(built_store, SCREENING, tmp_path / "cif", ranking)
    assert [file.is_intact() for file in files] == [True] * 3
    for index, file in enumerate(files):
        text = Path(file.path).read_text()
        assert text.startswith(f"# candidates {CANDIDATES.material_id(index)}\n")
        parsed = CifParser.from_str(text).parse_structures(primitive=False)[0]
        expected = structure_from_crystal(CANDIDATES.crystal(index))
        assert parsed.composition == expected.composition
        # CIF files hold six to eight decimals
        assert parsed.volume == pytest.approx(expected.volume, rel=1e-5)
