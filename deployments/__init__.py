"""Everything that starts a flow: command line, schedules, configurations."""

import os
import sys
from pathlib import Path

_WHERE = Path(sys.path[0]).resolve()
if sys.argv[0] == "-m" and _WHERE == Path.cwd() != Path(__file__).resolve().parents[1]:
    del sys.path[0]  # `python -m` would take a user's own folder `flows` here for ours

# OpenMP threads that spin long while they wait make training many times slower as soon as
# another process wants a core; those that never spin cost a third on an idle machine.
# Torch reads this when it is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
