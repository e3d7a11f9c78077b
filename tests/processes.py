"""What a command left behind; processes found by a marker in their environment (Linux)."""

import time
from pathlib import Path
from typing import NamedTuple

MARKER = "CRYSTALGNN_TEST_MARKER"


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


def process_ids(value: str) -> dict[int, str]:
    """Return the running processes whose marker has this value, with command lines."""
    wanted = f"{MARKER}={value}".encode()
    found = {}
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in environment.read_bytes().split(b"\0"):
                command = (environment.parent / "cmdline").read_bytes().decode()
                found[int(environment.parent.name)] = command
        except OSError:  # another user's process, or one that has just ended
            continue
    return found


def processes_with(value: str) -> list[str]:
    """Return the command lines of the running processes whose marker has this value."""
    return list(process_ids(value).values())


def wait_until_gone(value: str, timeout: float) -> list[str]:
    """Wait for the marked processes to end; return those that are left."""
    deadline = time.monotonic() + timeout
    while processes_with(value) and time.monotonic() < deadline:
        time.sleep(0.2)
    return processes_with(value)


def children_of(pid: int) -> list[int]:
    """Return the process ids of the direct children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def server_of(pid: int) -> int:
    """Return the process id of the Prefect server that a process has started."""
    [server] = [
        child
        for child in children_of(pid)
        if b"deployments.server" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
    ]
    return server
