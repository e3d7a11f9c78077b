"""Settings of a network and of its training that were found to go together."""
