"""The task runner is a setting; results do not depend on it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crystalgnn_core.config import ExecutionConfig
from crystalgnn_core.storage.shards import KEY, ShardSet
from tests.processes import MARKER, wait_until_gone

pytestmark = pytest.mark.xdist_group("prefect")
has_dask = importlib.util.find_spec("prefect_dask") is not None
needs_dask = pytest.mark.skipif(not has_dask, reason="crystalgnn[dask] is not installed")
GRAPH_COLUMNS = [KEY, "atomic_numbers", "degree", "neighbor", "cell_offset", "frac_coords"]
SCRIPT = """
import json, sys
from crystalgnn_core.config import PipelineConfig
from deployments.session import prefect_session

if __name__ == "__main__":
    with prefect_session():
        from flows.graphs import build_graphs
        from flows.records import ingest
        from flows.stages import with_runner

        config = PipelineConfig.model_validate_json(sys.argv[1])
        with_runner(ingest, config.execution)(config)
        with_runner(build_graphs, config.execution)(config)
"""


def run_with(config, runner, tmp_path):
    """Ingest and build with a runner in a new process; return the graphs it left."""
    execution = config.execution.model_copy(update={"runner": runner, "shard_size": 40})
    update = {"store": str(tmp_path / runner), "execution": execution}
    own = config.model_copy(update=update)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    marker = f"{runner}-{os.getpid()}"
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {MARKER: marker, "PYTHONPATH": path}
    subprocess.run(
        [sys.executable, str(script), own.model_dump_json()], env=environment, check=True
    )
    assert wait_until_gone(marker, timeout=20) == []
    [folder] = (own.store_path / "graphs").iterdir()
    shards = ShardSet(folder)
    assert len(shards.sound_entries()) > 2
    return shards.read_all(GRAPH_COLUMNS).sort_by(KEY)


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["processes", pytest.param("dask", marks=needs_dask)])
def test_every_runner_makes_the_same_graphs_and_leaves_no_process(
    tiny_config, runner, tmp_path
):
    graphs = run_with(tiny_config, runner, tmp_path)
    assert graphs.equals(run_with(tiny_config, "threads", tmp_path))


@pytest.mark.skipif(has_dask, reason="crystalgnn[dask] is installed")
def test_dask_that_is_not_installed_is_one_clear_error():
    from crystalgnn_core.errors import ConfigError
    from flows.graphs import build_graphs
    from flows.stages import with_runner

    with pytest.raises(ConfigError, match=r"install crystalgnn\[dask\]"):
        with_runner(build_graphs, ExecutionConfig(runner="dask"))
