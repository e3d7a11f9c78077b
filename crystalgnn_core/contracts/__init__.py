"""Test suites that a network, a source or a criterion of any package must pass."""
