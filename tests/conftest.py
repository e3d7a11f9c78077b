"""What all tests share: an isolated, silent Prefect and one thread a process."""

import os
import shutil
import tempfile

import pytest
from hypothesis import settings

# the same examples in every run of continuous integration, new ones elsewhere
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# before Prefect, torch or numba are imported: they read these once
_PREFECT_HOME = tempfile.mkdtemp(prefix="crystalgnn-prefect-")
os.environ.update(
    {
        "PREFECT_HOME": _PREFECT_HOME,
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        # two test processes on two cores: more threads only wait for each other
        "OMP_NUM_THREADS": "1",
    }
)
os.environ.pop("PREFECT_API_URL", None)


def pytest_unconfigure() -> None:
    shutil.rmtree(_PREFECT_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def prefect_api():
    """The server that the command line starts, with the worker processes of core."""
    from crystalgnn_core.parallel import close_pool
    from deployments.server import prefect_server

    with prefect_server() as url:
        yield url
    close_pool()


@pytest.fixture
def tiny_config(tmp_path):
    from crystalgnn_core.config import PipelineConfig
    from tests.tiny import TINY

    return PipelineConfig.model_validate(TINY | {"store": str(tmp_path / "store")})
