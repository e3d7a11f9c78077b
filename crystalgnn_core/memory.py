"""How much memory this process may still take."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CGROUPS = Path("/sys/fs/cgroup")
V2 = ("memory.max", "memory.current", ("active_file", "inactive_file"))
V1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
)


def available_memory() -> int:
    """Return the bytes that the machine, the limits and the control group leave.

    What no system says counts as boundless. Of a control group the files that are cached in
    memory count as free, as the system drops them when memory is needed.
    """
    return max(0, min([sys.maxsize, *_machine(), *_limits(), *_groups()]))


def _machine() -> Iterator[int]:
    found = _numbers(Path("/proc/meminfo"))
    if "MemAvailable" in found:
        yield 1024 * found["MemAvailable"]
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _limits() -> Iterator[int]:
    """What `ulimit -v` and `ulimit -d` leave."""
    if sys.platform == "win32":
        return
    import resource

    used = _numbers(Path("/proc/self/status"))
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY and name in used:
            yield limit - 1024 * used[name]


def _groups() -> Iterator[int]:
    """What the control groups of this process leave, from its own up to the root."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        names = V1 if controllers else V2
        root = CGROUPS / "memory" if controllers else CGROUPS
        here = root / path.lstrip("/")
        for folder in (here, *here.parents):
            limit = _text(folder / names[0]).strip()
            if limit.isdigit():
                cached = _numbers(folder / "memory.stat")
                free = sum(cached.get(name, 0) for name in names[2])
                yield int(limit) - int(_text(folder / names[1]) or 0) + free
            if folder == root:
                break


def _numbers(path: Path) -> dict[str, int]:
    """Read lines of a name and a number, such as `VmData:  12 kB`."""
    words = (line.replace(":", " ").split() for line in _text(path).splitlines())
    return {one[0]: int(one[1]) for one in words if len(one) > 1 and one[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
