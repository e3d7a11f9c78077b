"""Mapped columns give the batches that loaded ones give, and survive damage."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.graphs import mapped as mapped_module
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.mapped import map_graphs
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.storage.shards import MAPPED
from tests.core.graphs.test_shards import CONFIG, build, some


@pytest.fixture
def folder(tmp_path):
    build(tmp_path, some(8))
    return graph_folder(tmp_path, CONFIG)


def same(first, second):
    pairs = zip(first.to_dict().values(), second.to_dict().values(), strict=True)
    return all(a == b if isinstance(a, int) else torch.equal(a, b) for a, b in pairs)


def files(folder):
    return {path: path.read_bytes() for path in folder.glob(f"{MAPPED}/*/*")}


@pytest.mark.parametrize("names", ["c5 c0 c7 c7", "c0 c1 c2 c3 c4 c5 c6 c7", "c3"])
def test_mapped_graphs_are_the_loaded_ones(folder, names):
    digests = names.split()
    mapped, loaded = map_graphs(folder, digests), GraphDataset.from_shards(folder, digests)
    assert mapped.digests == digests
    assert len(mapped) == len(digests)
    assert np.array_equal(mapped.n_edges, loaded.n_edges)
    positions = np.arange(len(digests))
    assert same(mapped.batch(positions), loaded.batch(positions))
    assert same(mapped.batch(positions[::-1]), loaded.batch(positions[::-1]))


def test_files_are_made_once_for_the_same_shards_and_anew_for_others(folder, tmp_path):
    map_graphs(folder, ["c1"])
    before = files(folder)
    first = map_graphs(folder, ["c7", "c2"])
    assert files(folder) == before
    build(tmp_path, {"new": some(30)["c29"]})
    second = map_graphs(folder, ["new", "c2"])
    assert not before.keys() & files(folder).keys()
    # what is mapped stays readable when its files are gone
    assert same(first.batch(np.array([1])), second.batch(np.array([1])))


@pytest.mark.parametrize("fault", ["flipped", "cut", "missing", "index"])
def test_damaged_files_are_made_anew(folder, fault):
    map_graphs(folder, ["c1"])
    before = files(folder)
    damaged = next(path for path in before if path.name == "neighbor.bin")
    content = bytearray(before[damaged])
    if fault == "flipped":
        content[3] ^= 1
        damaged.write_bytes(content)
    elif fault == "cut":
        damaged.write_bytes(content[:-2])
    elif fault == "missing":
        damaged.unlink()
    else:
        damaged.with_name("index.json").write_text(json.dumps({"neighbor": {}}))
    map_graphs(folder, ["c1"])
    assert files(folder) == before


def test_a_structure_without_graph_is_named(folder):
    with pytest.raises(IntegrityError, match=r"1 of 2 structures .*first: absent"):
        map_graphs(folder, ["c1", "absent"])
    with pytest.raises(IntegrityError, match="none were asked for"):
        map_graphs(folder, [])


def test_many_at_once_lay_the_files_out_once(folder, monkeypatch):
    written = []
    real = mapped_module._write

    def note(target, shards):
        written.append(target)
        real(target, shards)

    monkeypatch.setattr(mapped_module, "_write", note)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda key: map_graphs(folder, [key]), ["c0", "c1"] * 4))
    assert len(written) == 1
    assert [dataset.digests for dataset in made] == [["c0"], ["c1"]] * 4
