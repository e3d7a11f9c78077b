"""Graph shards: what is planned, written, refused and read again."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.shards import (
    _REFUSALS,
    build_graph_shard,
    graph_folder,
    plan_graph_shards,
)
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.schema import REJECT_REASONS
from crystalgnn_core.records.table.store import RECORD_VERSION
from crystalgnn_core.storage.shards import ShardSet

CONFIG = GraphConfig()


def cubic(edge, n_atoms=1):
    coords = np.linspace(0, 0.5, n_atoms)[:, None] * np.ones(3)
    return Crystal(np.full(n_atoms, 11, np.int16), np.eye(3) * edge, coords)


def table_of(crystals):
    return pa.table(
        {
            "source": ["s"] * len(crystals),
            "material_id": [f"{index:06d}" for index in range(len(crystals))],
            "structure_digest": list(crystals),
            "atomic_numbers": pa.array(
                [c.atomic_numbers.tolist() for c in crystals.values()], pa.list_(pa.int16())
            ),
            "lattice": pa.array(
                [c.lattice.ravel().tolist() for c in crystals.values()],
                pa.list_(pa.float64()),
            ),
            "frac_coords": pa.array(
                [c.frac_coords.ravel().tolist() for c in crystals.values()],
                pa.list_(pa.float64()),
            ),
        }
    )


def build(store, crystals, size=3, config=CONFIG):
    jobs, _ = plan_graph_shards(store, config, iter([table_of(crystals)]), shard_size=size)
    return [build_graph_shard(job, config) for job in jobs]


def some(n, start=3.0):
    return {f"c{i}": cubic(start + 0.1 * i, 1 + i % 3) for i in range(n)}


def test_shards_hold_every_structure_once(tmp_path):
    states = build(tmp_path, some(8))
    assert [state.entry.n_rows for state in states] == [3, 3, 2]
    assert ShardSet(graph_folder(tmp_path, CONFIG)).known_digests() == set(some(8))


def test_reading_gives_the_requested_order_and_repetitions(tmp_path):
    build(tmp_path, some(8))
    wanted = ["c5", "c0", "c7", "c5"]
    dataset = GraphDataset.from_shards(graph_folder(tmp_path, CONFIG), wanted)
    assert dataset.digests == wanted
    assert np.diff(dataset.columns.atom_offsets).tolist() == [3, 1, 2, 3]


def test_known_structure_is_not_built_again(tmp_path):
    build(tmp_path, some(5))
    table = table_of(some(7))
    jobs, n_known = plan_graph_shards(tmp_path, CONFIG, iter([table, table]), shard_size=9)
    assert n_known == 5
    assert [job.n_rows for job in jobs] == [2]


def test_other_settings_use_another_folder(tmp_path):
    other = GraphConfig(cutoff=7.0)
    assert graph_folder(tmp_path, CONFIG) != graph_folder(tmp_path, other)


def test_damaged_shard_is_built_again_alone(tmp_path):
    states = build(tmp_path, some(6))
    folder = graph_folder(tmp_path, CONFIG)
    path = folder / f"{states[0].entry.name}.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    again = build(tmp_path, some(6))
    assert [state.entry for state in again] == [states[0].entry]


def test_shard_of_refused_structures_only_can_be_read_with_others(tmp_path):
    far = {"far1": cubic(30.0), "far2": cubic(31.0)}
    state = build(tmp_path, far)[0]
    assert state.entry.n_rows == 0
    assert [r.reason for r in state.entry.refusals] == ["isolated_atom"] * 2
    build(tmp_path, some(2))
    shards = ShardSet(graph_folder(tmp_path, CONFIG))
    assert set(shards.read_all(["structure_digest"])["structure_digest"].to_pylist()) == {
        "c0",
        "c1",
    }
    assert shards.read(["c1"]).num_rows == 1
    assert set(shards.refusals()) == set(far)
    assert shards.known_digests() == {"c0", "c1", "far1", "far2"}


def test_refused_structure_is_named_with_site_and_radius(tmp_path):
    refusal = build(tmp_path, {"a": cubic(3.0), "far": cubic(30.0)})[0].entry.refusals[0]
    assert refusal.structure_digest == "far"
    assert "within 12 angstrom of site 0" in refusal.message


def test_every_reason_is_in_the_closed_vocabulary():
    assert {reason for reason, _ in _REFUSALS.values()} <= set(REJECT_REASONS)


def test_empty_input_plans_nothing(tmp_path):
    assert plan_graph_shards(tmp_path, CONFIG, iter([]), shard_size=3) == ([], 0)
    empty = table_of({})
    assert plan_graph_shards(tmp_path, CONFIG, iter([empty]), shard_size=3) == ([], 0)


def test_schema_tells_how_the_graphs_were_made(tmp_path):
    table = table_of(some(1)).replace_schema_metadata({RECORD_VERSION: "7"})
    [job], _ = plan_graph_shards(tmp_path, CONFIG, iter([table]), shard_size=3)
    name = build_graph_shard(job, CONFIG).entry.name
    path = graph_folder(tmp_path, CONFIG) / f"{name}.parquet"
    metadata = pq.read_schema(path).metadata
    assert GraphConfig.model_validate_json(metadata[b"graph_config"]) == CONFIG
    assert "numba" in json.loads(metadata[b"packages"])
    assert metadata[b"record_version"] == b"7"


@pytest.mark.parametrize("size", [1, 2, 7])
def test_stored_graphs_do_not_depend_on_the_shard_size(tmp_path, size):
    build(tmp_path, some(7), size=size)
    dataset = GraphDataset.from_shards(graph_folder(tmp_path, CONFIG), list(some(7)))
    batch = dataset.batch(np.arange(7))
    build(tmp_path / "whole", some(7), size=100)
    whole = GraphDataset.from_shards(
        graph_folder(tmp_path / "whole", CONFIG), list(some(7))
    )
    for name in ("edge_index", "edge_vector", "cell_offset", "atomic_numbers", "ptr"):
        assert (batch[name] == whole.batch(np.arange(7))[name]).all()


def test_shards_do_not_depend_on_the_order_in_which_the_rows_are_stored(tmp_path):
    table = table_of(some(5))
    # one structure under two ids, of which each store comes to another first
    table = pa.concat_tables([table, with_id(table.slice(0, 1), "000009")])
    orders = ([0, 1, 2, 3, 4, 5], [5, 4, 2, 0, 1, 3])
    plans = [
        plan_graph_shards(
            tmp_path / str(number),
            CONFIG,
            iter([table.take(pa.array(order))]),
            shard_size=2,
        )[0]
        for number, order in enumerate(orders)
    ]
    names, again = ([job.name for job in jobs] for jobs in plans)
    assert len(names) == 3
    assert names == again


def with_id(rows, material_id):
    place = rows.column_names.index("material_id")
    return rows.set_column(place, "material_id", pa.array([material_id] * len(rows)))
