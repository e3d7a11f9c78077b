"""A small screen by the criterion, as a user of both packages would run it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.config import load_config
from crystalgnn_core.reporting.screen import report_screen
from tests.core import worlds

SETTINGS = """
screening:
  sources: [candidates]
  device: cpu
  top_k: 5
  score:
    criteria:
      - {kind: near_value, column: band_gap, best: 1.4, width: 0.3}
"""


def test_a_small_screen_is_ranked_by_it(tmp_path):
    (tmp_path / "job.yaml").write_text(SETTINGS)
    config = load_config(tmp_path / "job.yaml").screening
    worlds.ingest(tmp_path, worlds.SOURCE)
    worlds.ingest(tmp_path, worlds.CANDIDATES)
    worlds.build_graphs(tmp_path)
    trained = worlds.train(tmp_path, targets=("band_gap",))
    result = worlds.screen(tmp_path, Path(trained.folder), config)
    ranking = pd.read_parquet(Path(result.folder) / "ranking.parquet")
    expected = np.exp(-np.abs(ranking["band_gap"] - 1.4) / 0.3)
    assert ranking["score"].to_numpy() == pytest.approx(expected.to_numpy())
    assert ranking["score"].is_monotonic_decreasing
    page = Path(report_screen(tmp_path, config, result, ()).page.path).read_text()
    assert "band gap near 1.4 eV, as exp(-distance / 0.3 eV)" in page
    assert "wanted: band gap 1.1" in page
