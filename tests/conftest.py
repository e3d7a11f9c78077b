"""What all tests share: an isolated, silent Prefect and one thread a process."""

import os
import shutil
import tempfile

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
