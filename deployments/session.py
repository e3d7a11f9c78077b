"""Settings of this process for running flows: quiet, local, without telemetry."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OUR_LOGGERS = ("crystalgnn_core", "tasks", "flows", "deployments")
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # a failed flow ends in one line of ours, not in Prefect's traceback
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # of a server that is gone
    "PREFECT_LOGGING_EXTRA_LOGGERS": ",".join(OUR_LOGGERS),
}


def prepare_environment(*, verbose: bool) -> None:
    """Set what Prefect and child processes read at their start, and where our lines go.

    A variable that the user has set keeps its value. One line per stage is always logged;
    `verbose` adds one line per shard and epoch.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if Path.cwd() != Path(__file__).parents[1]:
        # `python -m` in a child would take a user's own folder `flows` here for ours
        os.environ["PYTHONSAFEPATH"] = "1"
    _keep_loopback_from_proxies()
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    logging.raiseExceptions = False  # of a server that is gone, reported by its error
    for name in OUR_LOGGERS:
        shows_stages = verbose or name == "flows"
        logging.getLogger(name).setLevel(logging.INFO if shows_stages else logging.WARNING)


def _keep_loopback_from_proxies() -> None:
    """Send requests to the server on this machine there, in this process and children."""
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if "127.0.0.1" not in spared:
        names = ",".join(filter(None, [spared, "127.0.0.1", "localhost"]))
        os.environ.update(no_proxy=names, NO_PROXY=names)


@contextmanager
def prefect_session(*, verbose: bool = False) -> Iterator[None]:
    """Run flows inside: on the configured Prefect server, or on one that lives as long."""
    prepare_environment(verbose=verbose)
    from crystalgnn_core.parallel import close_pool
    from deployments.server import prefect_server

    try:
        with prefect_server():
            yield
    finally:
        close_pool()
