"""The memory that is left is the least that machine, limits and control group allow."""

import subprocess
import sys

import pytest

from crystalgnn_core import memory
from crystalgnn_core.memory import available_memory

GIB = 2**30
LIMITED = """
import resource
from crystalgnn_core.memory import available_memory
resource.setrlimit(resource.RLIMIT_{kind}, (2**31, 2**31))
print(available_memory())
"""


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A machine with 8 GiB left, whose files a test writes."""

    def write(name, text):
        path = tmp_path / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(path):
        found = tmp_path / str(path).lstrip("/")
        return found.read_text() if found.is_file() else ""

    monkeypatch.setattr(memory, "_text", read)
    write("/proc/meminfo", f"MemTotal: 99 kB\nMemAvailable:   {8 * 2**20} kB\n")
    return write


def test_it_is_what_the_machine_has_left(system):
    assert available_memory() == 8 * GIB


def test_a_control_group_limits_it_and_cached_files_are_free(system):
    system("/proc/self/cgroup", "0::/jobs/mine\n")
    system("/sys/fs/cgroup/jobs/mine/memory.max", "max\n")
    system("/sys/fs/cgroup/jobs/memory.max", f"{4 * GIB}\n")
    system("/sys/fs/cgroup/jobs/memory.current", f"{3 * GIB}\n")
    assert available_memory() == GIB
    system("/sys/fs/cgroup/jobs/memory.stat", f"anon 9\ninactive_file {GIB}\n")
    assert available_memory() == 2 * GIB


def test_a_control_group_of_the_first_kind_limits_it(system):
    system("/proc/self/cgroup", "5:cpu:/x\n4:memory:/mine\n0::/\n")
    system("/sys/fs/cgroup/memory/mine/memory.limit_in_bytes", f"{GIB}\n")
    system("/sys/fs/cgroup/memory/mine/memory.usage_in_bytes", f"{2 * GIB}\n")
    assert available_memory() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")
@pytest.mark.parametrize("kind", ["AS", "DATA"])
def test_a_limit_of_the_process_limits_it(kind):
    command = [sys.executable, "-c", LIMITED.format(kind=kind)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert 0 < int(said) < 2 * GIB
