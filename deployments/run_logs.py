"""A file in the store for the lines of each scheduled flow run."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from prefect.logging.formatters import PrefectFormatter

FOLDER = "CRYSTALGNN_RUN_LOGS"  # set by `serve` for the processes that it starts


def run_log_folder(store: Path) -> Path:
    """Return the folder of the logs of a store."""
    return store / "logs"


def write_run_log() -> None:
    """Write the lines of this process to a file named by start time and flow.

    The server of `serve` ends with it; this file stays. Does nothing outside a scheduled
    flow run.
    """
    folder, deployment = (os.environ.get(k) for k in (FOLDER, "PREFECT__DEPLOYMENT_NAME"))
    if folder is None or deployment is None:
        return
    flow = deployment.rpartition("-")[0]
    path = Path(folder) / f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{flow}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    start = "%(asctime)s %(levelname)s "
    formatter = PrefectFormatter(
        f"{start}%(message)s",
        flow_run_fmt=f"{start}flow run %(flow_run_name)s: %(message)s",
        task_run_fmt=f"{start}task run %(task_run_name)s: %(message)s",
    )
    handler.setFormatter(formatter)
    # the one line that is not for the API names a page, and the pages are off
    handler.addFilter(lambda record: getattr(record, "send_to_api", True))
    logging.getLogger().addHandler(handler)
