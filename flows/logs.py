"""The lines of a flow run that a worker or `serve` starts in a process of its own."""

from __future__ import annotations

import logging
import os

OUR_LOGGERS = ("crystalgnn_core", "tasks", "flows", "deployments")
VERBOSE = "CRYSTALGNN_VERBOSE"  # set for the processes of `serve --verbose`


def log_to_flow_run() -> None:
    """Send our lines to the log of the flow run that this process was started for.

    Prefect sends those of the loggers that PREFECT_LOGGING_EXTRA_LOGGERS names, and passes
    no level on to the process: stage lines would end here.
    """
    if "PREFECT__FLOW_RUN_ID" not in os.environ:
        return
    to_api = logging.getLogger("prefect.extra").handlers
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        if name == "flows" or os.environ.get(VERBOSE):
            logger.setLevel(logging.INFO)
        for handler in to_api:
            logger.addHandler(handler)  # once, also if it is there
