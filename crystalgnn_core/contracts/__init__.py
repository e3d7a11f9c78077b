"""Test suites by which a class from anywhere shows that it keeps a contract."""
