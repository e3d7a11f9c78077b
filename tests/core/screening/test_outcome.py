"""The files of a screen, whatever targets its models predict."""

import pandas as pd
import pyarrow.parquet as pq

from crystalgnn_core.screening.outcome import write_outcome
from crystalgnn_core.screening.ranking import ranking_schema
from crystalgnn_core.storage.shards import KEY


def test_what_is_judged_stands_before_the_score_and_what_else_is_predicted_last(tmp_path):
    candidates = pd.DataFrame(
        {"source": ["s"], "candidate_id": ["a"], "formula": ["Si"], KEY: ["digest"]}
    )
    ranking = candidates.assign(
        rank=1, score=0.5, flags="", bulk_modulus=90.0, energy_above_hull=0.02
    )
    schema = ranking_schema(["energy_above_hull"], ["bulk_modulus"])
    write_outcome(tmp_path, candidates, ranking, [], schema)
    table = pq.read_table(tmp_path / "ranking.parquet")
    first, last = ["rank", "candidate_id", "formula"], ["score", "flags", "source"]
    assert table.column_names == [*first, "energy_above_hull", *last, "bulk_modulus"]
    assert table["energy_above_hull"].to_pylist() == [0.02]
    assert table["bulk_modulus"].to_pylist() == [90.0]
