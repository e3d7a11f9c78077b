from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalgnn_core.storage import sorting
from crystalgnn_core.storage.sorting import in_order


@settings(max_examples=40, deadline=None)
@given(
    keys=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 99)), unique=True),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    window=st.integers(1, 70),
)
def test_any_cut_of_the_rows_gives_the_same_order(keys, cuts, window, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch") / "new"
    table = pa.table(
        {
            "value": pa.array([[key[1]] * 3 for key in keys], pa.list_(pa.int64())),
            "source": pa.array([key[0] for key in keys], pa.string()),
            "id": pa.array([key[1] for key in keys], pa.int64()),
        }
    )
    ends = sorted({0, len(keys), *(cut for cut in cuts if cut < len(keys))})
    parts = [table.slice(a, b - a) for a, b in pairwise(ends)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "WINDOW", window)
        windows = list(in_order(parts, ["source", "id"], scratch))
    found = [row for part in windows for row in part.to_pylist()]
    assert [(row["source"], row["id"]) for row in found] == sorted(keys)
    assert all(row["value"] == [row["id"]] * 3 for row in found)
    assert all(part.num_rows == window for part in windows[:-1])
    assert list(scratch.iterdir()) == []  # the spooled rows are gone


def test_nothing_sorted_is_nothing(tmp_path):
    assert list(in_order([], ["id"], tmp_path)) == []
