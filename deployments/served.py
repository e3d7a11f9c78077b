"""The scheduled flows, as a file that Prefect loads by its path.

Prefect leaves the working directory and the folder of this file on the path, in front. It
and the processes that it starts would take a user's own folder `flows` there for ours.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ADDED = {Path.cwd(), _HERE} - {_HERE.parent}
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() not in _ADDED]

from deployments.run_logs import write_run_log  # noqa: E402  found as it is installed

write_run_log()

from flows.learning import retrain  # noqa: E402
from flows.screening import rescreen  # noqa: E402

__all__ = ["rescreen", "retrain"]
