"""The files of a screen, whatever targets its models predict."""

import pandas as pd
import pyarrow.parquet as pq

from crystalgnn_core.screening.outcome import write_outcome
from crystalgnn_core.screening.ranking import RANKING_SCHEMA
from crystalgnn_core.storage.shards import KEY


def test_further_targets_stand_behind_the_ranking_or_in_its_own_column(tmp_path):
    candidates = pd.DataFrame(
        {"source": ["s"], "candidate_id": ["a"], "formula": ["Si"], KEY: ["digest"]}
    )
    ranking = candidates.assign(
        rank=1, score=0.5, flags="", bulk_modulus=90.0, energy_above_hull=0.02
    )
    write_outcome(tmp_path, candidates, ranking, [], ("bulk_modulus", "energy_above_hull"))
    table = pq.read_table(tmp_path / "ranking.parquet")
    assert table.column_names == [*RANKING_SCHEMA.names, "bulk_modulus"]
    assert table["energy_above_hull"].to_pylist() == [0.02]
    assert table["bulk_modulus"].to_pylist() == [90.0]
