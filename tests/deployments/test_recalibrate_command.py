"""`crystalgnn models recalibrate`: labels of another source, judged by its other rows."""

from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.synthetic.source import SyntheticSource


def test_a_model_is_made_and_judged_by_the_other_rows(own_store, run):
    more = SyntheticSource(name="more", prefix="m", seed=2, n_structures=100)
    ingest_source(own_store.path, more)
    at = ("--store", own_store.path)
    given = ("models", "recalibrate", own_store.champion, "--source", "more")
    made = run(*given, "--rows", 60, "--shift", *at)
    assert made.code == 0
    assert "rows of more; formation_energy_per_atom shifted by" in made.out
    model = made.out.partition("model    ")[2].partition(":")[0]
    judged = run("evaluate", "--model", model, *at)
    assert judged.code == 0
    assert "rows     100 of more carry a label" in judged.out
    assert "intervals" in judged.out
    refused = run(*given, "--rows", 1000, *at)
    assert refused.code == 2
    assert "1,000 are needed; name other sources or fewer --rows" in refused.err
