import json
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from crystalgnn_core.reporting.facts import model_facts
from crystalgnn_core.reporting.judging import describe_quality
from crystalgnn_core.reporting.ranked import with_links
from crystalgnn_core.reporting.report import StageNote
from crystalgnn_core.reporting.screen import report_screen
from crystalgnn_core.screening.quality import Agreement, RankingQuality
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from tests.core.worlds import SCREENING, copy, ingest, screen

STAGES = (StageNote(stage="predict", seconds=1.5, note="all of them"),)


@pytest.fixture(scope="module")
def screened(trained_store, trained, tmp_path_factory):
    """A finished screen; its store is written to by the report alone."""
    store = copy(trained_store, tmp_path_factory.mktemp("screened") / "store")
    return store, screen(store, store / "models" / trained.model_id)


@pytest.fixture(scope="module")
def report(screened):
    store, result = screened
    return report_screen(store, SCREENING, result, STAGES)


def test_the_page_shows_what_the_screen_found(screened, report):
    _, result = screened
    page = Path(report.page.path).read_text()
    ranking = pd.read_parquet(Path(result.folder) / "ranking.parquet")
    assert ranking["candidate_id"][0] in page
    assert result.screen_id in page
    assert "all of them" in page
    assert "(synthetic data)" in page
    for path in (Path(result.folder) / "cif").iterdir():
        assert f"cif/{path.name}" in page


def test_the_ranking_is_judged_by_the_known_values(screened, report):
    _, result = screened
    assert report.quality.n == result.n_scored
    assert report.quality.k == SCREENING.top_k
    assert report.quality.near_hull is not None
    assert report.quality.targets["formation_energy_per_atom"].mae > 0


def test_a_sound_page_is_kept(screened, report):
    store, result = screened
    before = Path(report.page.path).stat().st_mtime_ns
    again = report_screen(store, SCREENING, result, ())
    assert (report.was_written, again.was_written) == (True, False)
    assert again.quality == report.quality
    assert Path(report.page.path).stat().st_mtime_ns == before


def test_a_damaged_page_and_a_damaged_entry_are_written_again(screened, report):
    store, result = screened
    page = Path(report.page.path)
    page.write_text(page.read_text()[:-20])
    assert report_screen(store, SCREENING, result, STAGES).was_written
    (page.parent / "report.json").write_text("{")
    assert report_screen(store, SCREENING, result, STAGES).was_written


def test_a_screen_compared_with_another_one_has_a_new_page(screened, report):
    store, result = screened
    other = result.model_copy(update={"previous": "elsewhere"})
    assert report_screen(store, SCREENING, other, STAGES).was_written
    assert report_screen(store, SCREENING, result, STAGES).was_written


def screen_withheld(store, name, **settings):
    """Ingest candidates whose values are withheld; return source, settings and a screen."""
    source = SyntheticSource(name=name, prefix=name[0], with_labels=False, **settings)
    ingest(store, source)
    config = SCREENING.model_copy(update={"name": name, "sources": (name,)})
    model = next((store / "models").glob("cgcnn-*"))
    return source, config, partial(screen, store, model, config)


def test_withheld_values_are_not_judged(screened):
    store, _ = screened
    _, config, rank = screen_withheld(store, "withheld", seed=7, n_structures=8)
    assert report_screen(store, config, rank(), ()).quality is None


def test_labels_that_come_after_the_screen_are_shown_and_judged(screened):
    store, _ = screened
    source, config, rank = screen_withheld(store, "later", seed=8, n_structures=12)
    assert report_screen(store, config, rank(), ()).quality is None

    ingest(store, source.model_copy(update={"with_labels": True}))
    again = rank()
    assert not again.was_ranked
    report = report_screen(store, config, again, ())
    assert report.was_written
    assert report.quality is not None
    assert report.quality.n == again.n_scored
    assert "candidates with known values" in Path(report.page.path).read_text()


def test_a_model_without_history_and_test_rows_is_reported(screened, trained, tmp_path):
    store, _ = screened
    source = store / "models" / trained.model_id
    bare = copy(source, tmp_path / "bare")
    for name in ("history.parquet", "test_predictions.parquet"):
        (bare / name).unlink()
    result = screen(store, bare, SCREENING.model_copy(update={"name": "bare"}))
    config = SCREENING.model_copy(update={"name": "bare"})
    assert report_screen(store, config, result, ()).was_written


def test_moves_since_the_last_screen_are_named(screened, tmp_path):
    _, result = screened
    names = ["a", "b", "c", "d"]
    ranking = pd.DataFrame(
        {"source": "s", "candidate_id": names, "rank": [1, 2, 3, 4], "formula": "NaCl"}
    )
    (tmp_path / "before").mkdir()
    before = ranking.head(3).assign(rank=[3, 2, 1])
    before.to_parquet(tmp_path / "before" / "ranking.parquet")
    later = result.model_copy(
        update={"folder": str(tmp_path / "after"), "previous": "before"}
    )
    config = SCREENING.model_copy(update={"top_k": 2})
    linked = with_links(ranking, config, later)
    assert linked["change"].tolist() == ["up 2", "", "down 2", "new"]
    assert linked["cif"].tolist()[:2] == ["cif/0001_NaCl_a.cif", "cif/0002_NaCl_b.cif"]
    assert linked["cif"].isna().tolist() == [False, False, True, True]


def test_every_model_of_a_screen_is_described(trained):
    cards = [
        trained.card.model_copy(
            update={
                "model_id": name,
                "scaler": trained.card.scaler.model_copy(update={"targets": (name,)}),
            }
        )
        for name in ("energy", "gap")
    ]
    facts = model_facts(cards)
    assert (facts["model (energy)"], facts["model (gap)"]) == ("energy", "gap")
    assert model_facts(cards[:1])["model"] == "energy"


def test_of_a_model_from_elsewhere_is_said_what_is_known(trained):
    """Bundles made from published weights know neither data nor leaks, nor the epoch."""
    for n_rows, known in ((0, "rows not stated"), (28046, "28,046 rows")):
        data = trained.card.data.model_copy(
            update={
                "data_digest": "",
                "sources": ("gap.hdf5",),
                "n_rows": {"train": n_rows, "val": 0, "test": 0},
                "leaks": {},
            }
        )
        card = trained.card.model_copy(update={"data": data, "epoch": 0})
        facts = model_facts([card])
        assert facts["trained"] == f"elsewhere, {known}; weights of gap.hdf5"
        assert facts["epoch"] == "not stated"
        assert not any("test" in label for label in facts)
        assert "remarks" not in facts
        remarks = {"remarks": ("not checked against a real archive", "old")}
        facts = model_facts([card.model_copy(update=remarks)])
        assert facts["remarks"] == "not checked against a real archive; old"


def test_the_quality_is_put_into_words():
    quality = RankingQuality(
        n=100, k=10, targets={"bulk_modulus": Agreement(mae=9, offset=-1.5, spearman=0.9)},
        score_spearman=0.85, precision=0.4, enrichment=4.0,
        in_window=0.7, in_window_base=0.3,
    )  # fmt: skip
    facts = describe_quality(quality)
    assert facts["of the top 10, truly among the best 10"].startswith("40% (4.0 times")
    assert facts["of the top 10, true values in the window"] == "70% (all candidates: 30%)"
    assert facts["bulk modulus"] == (
        "MAE 9.000 GPa, mean offset -1.500, rank correlation 0.900"
    )
    assert not any("hull" in key for key in facts)
    known = quality.model_copy(update={"near_hull": 0.5, "near_hull_base": 0.25})
    hull = describe_quality(known)["of the top 10, within 0.05 eV/atom of the true hull"]
    assert hull == "50% (all candidates: 25%)"


def test_the_entry_holds_no_more_than_the_state(screened, report):
    entry = json.loads((Path(report.page.path).parent / "report.json").read_text())
    assert set(entry) == {"page", "quality", "result_digest", "was_written"}


def test_a_copy_of_a_store_has_its_own_screen_while_the_original_stays(
    trained_store, trained, tmp_path
):
    first = copy(trained_store, tmp_path / "first")
    result = screen(first, first / "models" / trained.model_id)
    original = report_screen(first, SCREENING, result, ())
    second = copy(first, tmp_path / "second")
    again = screen(second, second / "models" / trained.model_id)
    assert not again.was_ranked
    page = report_screen(second, SCREENING, again, ()).page
    placed = [again.folder, *again.models, page.path, *(file.path for file in again.files)]
    assert all(Path(path).is_relative_to(second) for path in placed)
    assert Path(original.page.path).is_relative_to(first)
