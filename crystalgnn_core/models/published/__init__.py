"""Weights that others have published: what there is, and reading it safely."""
