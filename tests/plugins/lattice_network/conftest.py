"""These tests run where the package is installed; `tests/plugins/test_networks.py` does."""

from importlib.metadata import entry_points

NAMES = {entry.name for entry in entry_points(group="crystalgnn.networks")}
collect_ignore = (
    [] if "lattice_network" in NAMES else ["test_contract.py", "test_screen.py"]
)
