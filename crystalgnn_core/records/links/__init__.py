"""Rows of several sources that are one material."""
