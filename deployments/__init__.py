"""Everything that starts a flow: command line, schedules, configurations."""

import os

# OpenMP threads that spin while they wait make training many times slower as soon as
# another process wants a core; torch reads this when it is first imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
