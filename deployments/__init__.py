"""Everything that starts a flow: command line, schedules, configurations."""

import os

# OpenMP threads that spin long while they wait make training many times slower as soon as
# another process wants a core; those that never spin cost a third on an idle machine.
# Torch reads this when it is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
