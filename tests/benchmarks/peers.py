"""Environments of their own for the packages that benchmarks compare with.

They lie in `.bench-env/` beside the sources, which git ignores, and are made once for each
set of requirements. Both sides of a comparison run one thread.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from crystalgnn_core.base import digest_of

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".bench-env"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"  # equal versions of what both sides use
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class PeerError(Exception):
    """The environment of a peer cannot be made, or its side of a benchmark failed."""


def peer_python(name: str, *requirements: str) -> Path:
    """Return the interpreter of an environment with these packages; make it when missing.

    Args:
        name: First part of the folder's name.
        requirements: `package==version`, installed from the package index.

    Raises:
        PeerError: The packages cannot be installed.
    """
    folder = ENVIRONMENTS / f"{name}-{digest_of(sorted(requirements))}"
    python = folder / "bin" / "python"
    stamp = folder / "installed"
    if stamp.is_file():
        return python
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile"]
    install += ["--disable-pip-version-check", "--constraint", str(CONSTRAINTS)]
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], f"{name}: no environment")
    _run([*install, *requirements], f"{name}: not installed")
    stamp.write_text("\n".join(requirements) + "\n")
    return python


def run_peer(python: Path, script: Path, *arguments: object) -> dict[str, Any]:
    """Run a script in a peer's environment; its last line of output is a JSON object.

    Raises:
        PeerError: The script failed.
    """
    command = [str(python), str(script), *map(str, arguments)]
    output = _run(command, f"{script.name} failed")
    return json.loads(output.splitlines()[-1])


def _run(command: list[str], complaint: str) -> str:
    made = subprocess.run(
        command, capture_output=True, text=True, check=False, env=_environment()
    )
    if made.returncode != 0:
        reason = (made.stderr.strip() or made.stdout.strip()).splitlines()[-1:]
        raise PeerError(f"{complaint}: {' '.join(reason)}")
    return made.stdout


def _environment() -> dict[str, str]:
    """Return our environment without what would lead a peer to our own packages."""
    ours = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | dict.fromkeys(THREADS, "1")
