"""Settings of this process for running flows: quiet, local, without telemetry."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.logs import OUR_LOGGERS, VERBOSE

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = ("127.0.0.1", "localhost", "::1")
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # of a server that is gone
    "PREFECT_LOGGING_EXTRA_LOGGERS": ",".join(OUR_LOGGERS),
}


def prepare_environment(*, verbose: bool, prefect_level: str = "CRITICAL") -> None:
    """Set what Prefect and child processes read at their start, and where our lines go.

    A variable that the user has set keeps its value. One line per stage is always logged;
    `verbose` adds one line per shard and epoch.

    Args:
        verbose: Whether these lines are added, also in flow runs of `serve`.
        prefect_level: Level of Prefect's own lines. A command reports a failed flow in one
            line of ours, not in Prefect's traceback.
    """
    for name, value in (QUIET | {"PREFECT_LOGGING_LEVEL": prefect_level}).items():
        os.environ.setdefault(name, value)
    if verbose:
        os.environ[VERBOSE] = "1"
    keep_loopback_from_proxies()
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    logging.raiseExceptions = False  # of a server that is gone, reported by its error
    for name in OUR_LOGGERS:
        shows_stages = verbose or name == "flows"
        logging.getLogger(name).setLevel(logging.INFO if shows_stages else logging.WARNING)


def keep_loopback_from_proxies() -> None:
    """Send requests to the server on this machine there, in this process and children."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    spared = [name.strip() for name in given.split(",") if name.strip()]
    missing = [name for name in LOOPBACK if name not in spared]
    if missing and "*" not in spared:  # which spares all hosts, as long as it stands alone
        names = ",".join([*spared, *missing])
        os.environ.update(no_proxy=names, NO_PROXY=names)


@contextmanager
def prefect_session(*, verbose: bool = False) -> Iterator[None]:
    """Run flows inside: on the configured Prefect server, or on one that lives as long."""
    prepare_environment(verbose=verbose)
    from crystalgnn_core.parallel import close_pool
    from deployments.server import end_without_server, prefect_server

    try:
        with prefect_server(on_death=end_without_server):
            yield
    finally:
        close_pool()
