"""The scheduled flows, under a name that no folder in the working directory will have.

Prefect puts the working directory first on the path while it loads an entry point, so that
it would take a user's own folder `flows` there for ours.
"""

import sys
from pathlib import Path

_path = sys.path[:]
if Path.cwd() != Path(__file__).parent:
    sys.path[:] = [entry for entry in _path if Path(entry).resolve() != Path.cwd()]
try:
    from flows.learning import retrain
    from flows.screening import rescreen
finally:
    sys.path[:] = _path

__all__ = ["rescreen", "retrain"]
