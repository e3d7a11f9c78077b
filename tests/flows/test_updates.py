"""New, changed and removed records: graphs are built for those alone."""

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.storage.manifest import Manifest
from crystalgnn_core.storage.shards import KEY

pytestmark = pytest.mark.xdist_group("prefect")
N, N_NEW, N_CHANGED, N_REMOVED = 300, 3, 3, 2


def crystals():
    source = SyntheticSource(n_structures=N + N_NEW)
    return [record.crystal for part in source.parts() for record in source.read(part)]


def write(path, named):
    """Write crystals as a table of CIF texts."""
    texts = [structure_from_crystal(crystal).to(fmt="cif") for crystal in named.values()]
    pd.DataFrame({"material_id": list(named), "cif": texts}).to_parquet(path)


@pytest.mark.usefixtures("prefect_api")
def test_only_graphs_of_new_and_changed_records_are_built(tmp_path):
    from flows.graphs import build_graphs
    from flows.records import ingest

    table = tmp_path / "mine.parquet"
    config = PipelineConfig.model_validate(
        {
            "store": str(tmp_path / "store"),
            "sources": [{"kind": "files", "name": "mine", "path": str(table)}],
            "screening": {"sources": ["mine"]},
            "execution": {"shard_size": 64},
        }
    )
    named = {f"m{index}": crystal for index, crystal in enumerate(crystals())}
    new = {name: named.pop(name) for name in list(named)[N:]}
    write(table, named)
    ingest(config)
    assert build_graphs(config).n_graphs == N
    folder = graph_folder(config.store_path, config.graph)
    shards = {shard: shard.read_bytes() for shard in folder.glob("*.parquet")}
    assert len(shards) == 5

    changed = list(named)[100 : 100 + N_CHANGED]
    for name in changed:
        named[name] = named[name]._replace(lattice=named[name].lattice * 1.01)
    for name in list(named)[:N_REMOVED]:
        del named[name]
    write(table, named | new)
    [report] = ingest(config).reports
    counts = report.counts
    assert (counts.n_new, counts.n_changed) == (N_NEW, N_CHANGED)
    assert (counts.n_removed, counts.n_unchanged) == (N_REMOVED, N - N_CHANGED - N_REMOVED)
    built = build_graphs(config)
    assert (built.n_graphs, built.n_shards) == (N_NEW + N_CHANGED, 1)
    assert built.n_known == N - N_CHANGED - N_REMOVED
    assert built.n_superseded == N_CHANGED + N_REMOVED
    for shard, content in shards.items():
        assert shard.read_bytes() == content
    [added] = set(folder.glob("*.parquet")) - set(shards)
    stored = RecordStore(config.store_path).read(["mine"], [KEY, "lattice"]).to_pandas()
    rows = stored.set_index("material_id").loc[[*changed, *new]]
    assert set(Manifest(folder).keys(added.stem)) == set(rows[KEY])
    dataset = GraphDataset.from_shards(folder, rows[KEY].tolist())
    lattices = np.stack(rows["lattice"].tolist()).reshape(-1, 3, 3)
    assert np.array_equal(dataset.columns.lattices, lattices)
    assert build_graphs(config).n_shards == 0
