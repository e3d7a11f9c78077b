"""What an ingest refused is part of the account of every screen of its source."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from crystalgnn_core.errors import InputError
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.reporting.screen import report_screen
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.config import PrescreenConfig, ScreeningConfig
from crystalgnn_core.screening.outcome import count_rejects, files_left_out
from crystalgnn_core.screening.prescreening import prescreen
from crystalgnn_core.screening.screen import rank_screen
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from tests.core.worlds import CANDIDATES, ingest, screen

MINE = ScreeningConfig(name="mine", sources=("mine",), top_k=3, device="cpu")
GOOD = ("a", "b", "c", "d")
CIFS = [
    structure_from_crystal(CANDIDATES.crystal(index)).to(fmt="cif") for index in range(5)
]
COUNTS = {("ingest", "unreadable_structure"): 2, ("listing", "unsupported_file"): 1}


@pytest.fixture
def folder(tmp_path):
    """Four candidates, two files that are no CIF, and one whose name nothing reads."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in zip(GOOD, CIFS, strict=False):
        (folder / f"{name}.cif").write_text(text)
    (folder / "cut.cif").write_text(CIFS[4][:200])
    (folder / "empty.cif").write_text("")
    (folder / "e.txt").write_text(CIFS[4])
    return folder


@pytest.fixture
def source(folder):
    return FilesSource(name="mine", path=str(folder))


@pytest.fixture
def screened(store, model, source):
    ingest(store, source)
    return screen(store, model, MINE)


def rejects_of(result):
    return pd.read_parquet(Path(result.folder) / "rejects.parquet").set_index("material_id")


def test_files_that_could_not_be_read_are_counted_and_named(screened):
    assert (screened.n_in, screened.n_unread) == (7, 3)
    assert screened.n_in == screened.n_scored + sum(screened.rejected.values())
    assert screened.account == "7 candidates = 4 scored + 3 rejected + 0 duplicates"
    rejects = rejects_of(screened)
    assert set(rejects.index) == {"cut", "empty", "e.txt"}
    assert rejects.loc["empty", "message"].startswith("empty: ")
    assert "structures in a folder are named *.cif" in rejects.loc["e.txt", "message"]
    assert count_rejects(Path(screened.folder)) == COUNTS
    assert files_left_out(Path(screened.folder)) == ["e.txt"]
    outcome = pd.read_parquet(Path(screened.folder) / "candidates.parquet")
    assert outcome["outcome"].value_counts().to_dict() == {"scored": 4, "rejected": 3}


def test_page_counts_and_names_them(store, screened):
    page = Path(report_screen(store, MINE, screened, ()).page.path).read_text()
    assert "<b>7</b> in = <b>4</b> scored + <b>3</b> rejected" in page
    assert "every candidate could be read" not in page
    for name in ("cut", "empty", "e.txt"):
        assert f"<code>{name}</code>" in page
    assert '<span class="label">readable</span>' in page


def test_an_unchanged_folder_has_them_in_the_next_account(store, model, source, screened):
    assert not ingest(store, source).was_read
    again = rank_screen(store, MINE, [model])
    assert not again.was_ranked
    assert again.model_copy(update={"was_ranked": True}) == screened


def test_a_file_that_is_corrected_is_a_new_candidate(
    store, model, source, folder, screened
):
    (folder / "cut.cif").write_text(CIFS[4])
    (folder / "e.txt").unlink()
    ingest(store, source)
    after = screen(store, model, MINE)
    assert (after.n_in, after.n_scored + after.n_duplicates, after.n_unread) == (6, 5, 1)
    assert set(rejects_of(after).index) == {"empty"}
    assert (after.previous, after.changes.n_new) == (screened.screen_id, 1)
    assert (after.changes.n_removed, after.changes.n_unchanged) == (0, 4)


def test_one_more_bad_file_is_another_screen_of_the_same_candidates(
    store, model, source, folder, screened
):
    (folder / "more.cif").write_bytes(bytes(range(256)))
    (folder / "picture.png").write_bytes(b"")
    ingest(store, source)
    after = rank_screen(store, MINE, [model])
    assert (after.was_ranked, after.n_in, after.n_scored) == (True, 9, 4)
    assert after.screen_id != screened.screen_id
    assert {"more", "picture.png"} < set(rejects_of(after).index)
    assert after.changes is not None
    assert (after.changes.n_new, after.changes.n_unchanged) == (0, 4)


def test_a_picture_beside_the_structures_makes_nobody_read_or_judge_them_again(
    store, source, folder, screened
):
    version = RecordStore(store).version()
    (folder / "picture.png").write_bytes(b"")
    report = ingest(store, source)
    assert not report.was_read
    assert (report.n_in, sum(report.rejected.values())) == (6, 2)
    assert RecordStore(store).version() == version
    (folder / "picture.png").unlink()
    (folder / "e.txt").unlink()
    ingest(store, source)
    assert "listing" not in RecordStore(store).rejects()["stage"].to_pylist()


def test_patterns_that_are_set_leave_other_files_out_on_purpose(store, folder):
    ingest(store, FilesSource(name="mine", path=str(folder), pattern=("[a-d].cif",)))
    assert RecordStore(store).rejects().num_rows == 0


def test_a_repeated_id_does_not_hide_the_row_that_has_it(store, model, tmp_path):
    table = pd.DataFrame({"material_id": ["a", "b", "a"], "cif": CIFS[:3]})
    table.to_csv(tmp_path / "table.csv", index=False)
    ingest(store, FilesSource(name="mine", path=str(tmp_path / "table.csv")))
    result = screen(store, model, MINE)
    assert result.account == "3 candidates = 2 scored + 1 rejected + 0 duplicates"
    outcome = pd.read_parquet(Path(result.folder) / "candidates.parquet")
    pairs = sorted(zip(outcome["candidate_id"], outcome["outcome"], strict=True))
    assert pairs == [("a", "rejected"), ("a", "scored"), ("b", "scored")]


def test_rejects_of_sources_that_are_not_screened_do_not_count(store, model, screened):
    other = SyntheticSource(name="other", prefix="o", n_structures=3, seed=9)
    ingest(store, other)
    alone = screen(store, model, MINE.model_copy(update={"sources": ("other",)}))
    assert (alone.n_in, alone.n_unread) == (3, 0)
    both = screen(store, model, MINE.model_copy(update={"sources": ("mine", "other")}))
    assert (both.n_in, both.n_unread) == (10, 3)


def test_a_source_of_which_nothing_could_be_read_is_in_the_account(
    store, model, folder, source, screened
):
    bad = folder.parent / "bad"
    bad.mkdir()
    (bad / "empty.cif").write_text("")
    ingest(store, FilesSource(name="bad", path=str(bad)))
    config = MINE.model_copy(update={"sources": ("mine", "bad")})
    both = screen(store, model, config)
    assert (both.n_in, both.n_scored, both.n_unread) == (8, 4, 4)
    report_screen(store, config, both, ())
    with pytest.raises(InputError, match=r"none of 1 candidates .*unreadable_structure 1"):
        read_candidates(store, ["bad"])
    with pytest.raises(InputError, match="'nowhere'"):
        read_candidates(store, ["bad", "nowhere"])


def test_a_pre_screen_chooses_among_what_could_be_read(store, model, screened):
    config = MINE.model_copy(
        update={"prescreen": PrescreenConfig(models=("champion",), keep=2)}
    )
    chosen = prescreen(store, config, [model])
    assert (chosen.n_in, chosen.n_kept) == (4, 2)
    result = rank_screen(store, config, [model], chosen)
    assert result.account == (
        "7 candidates = 2 scored + 3 rejected + 0 duplicates + 2 prescreened"
    )
    table = pq.read_table(Path(result.folder) / "candidates.parquet")
    assert table["outcome"].to_pylist().count("prescreened") == 2
    page = Path(report_screen(store, config, result, ()).page.path).read_text()
    assert "<b>7</b> in = <b>2</b> scored" in page
