"""The change gate: whether a new version of a source can be trained on."""
