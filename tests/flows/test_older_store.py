"""A store that was written elsewhere, before the modules moved, is used as it is."""

import tarfile
from pathlib import Path

import pandas as pd
import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.screening.candidates import load_crystals, read_candidates
from crystalgnn_core.screening.prediction import predict
from crystalgnn_core.screening.screen import rank_screen
from tests.tiny import TINY

STORE = Path(__file__).parents[1] / "data" / "store-0.1.0.tar.xz"
# names that the code of 3fd403b gave with the settings of `TINY`
MODEL, SCREEN = "cgcnn-cb69fa33397a", "tiny-acb25e19bd9a"

# the defaults of its score
SCORE = {"energy_midpoint": -1.0, "energy_width": 0.5, "gap_width": 0.5}

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.fixture
def config(tmp_path):
    with tarfile.open(STORE) as archive:
        archive.extractall(tmp_path / "store", filter="data")
    screening = TINY["screening"] | {"score": SCORE}
    return PipelineConfig.model_validate(
        TINY | {"store": str(tmp_path / "store"), "screening": screening}
    )


@pytest.mark.usefixtures("prefect_api")
def test_nothing_of_an_older_store_is_made_again(config):
    from flows.pipeline import pipeline

    ranking = config.store_path / "screens" / SCREEN / "ranking.csv"
    stored = {path: path.read_bytes() for path in config.store_path.rglob("*.parquet")}
    before = ranking.read_bytes()
    done = pipeline(config)
    assert done.screened is not None
    assert not any(report.was_read for report in done.ingested.reports)
    assert done.built.n_shards == 0
    assert (done.trained.model_id, done.trained.was_trained) == (MODEL, False)
    assert (done.screened.result.screen_id, done.screened.result.was_ranked) == (
        SCREEN,
        False,
    )
    assert done.screened.n_predicted == 0
    assert ranking.read_bytes() == before
    for path, content in stored.items():
        assert path.read_bytes() == content
    page = (ranking.parent / "report.html").read_text()  # the archive has none
    assert "P(stable)" not in page
    assert "\N{PLUS-MINUS SIGN}" not in page


def test_a_damaged_ranking_of_an_older_store_is_ranked_again_without_empty_columns(config):
    folder = config.store_path / "screens" / SCREEN
    before = pd.read_parquet(folder / "ranking.parquet")
    (folder / "ranking.csv").write_text("cut")
    model = config.store_path / "models" / MODEL
    result = rank_screen(config.store_path, config.screening, [model])
    assert (result.screen_id, result.was_ranked) == (SCREEN, True)
    ranking = pd.read_parquet(folder / "ranking.parquet")
    promised = {name for name in before if before[name].isna().all()}
    assert promised >= {"band_gap_std", "energy_above_hull", "probability_stable"}
    assert ranking.columns.tolist() == [name for name in before if name not in promised]
    pd.testing.assert_frame_equal(ranking, before[ranking.columns])


def test_model_of_an_older_store_predicts_what_it_predicted(config):
    ranking = pd.read_parquet(config.store_path / "screens" / SCREEN / "ranking.parquet")
    candidates = read_candidates(config.store_path, ("candidates",))
    ids = candidates.set_index("structure_digest")["candidate_id"]
    crystals = {
        ids[digest]: crystal
        for digest, crystal in load_crystals(
            config.store_path, ("candidates",), list(ids.index)
        ).items()
    }
    table = predict(crystals, "champion", store=config.store).set_index("material_id")
    again = table.loc[ranking["candidate_id"]]
    for name in ("formation_energy_per_atom", "band_gap"):
        # another processor may round the sums of single precision otherwise
        assert again[name].to_numpy() == pytest.approx(ranking[name].to_numpy(), abs=1e-5)
