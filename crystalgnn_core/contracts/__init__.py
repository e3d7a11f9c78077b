"""What every kind of a thing must pass, as tests for pytest, also of other packages."""
