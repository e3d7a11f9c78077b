"""Formats of structures and tables, read row by row."""
