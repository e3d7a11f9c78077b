"""The user's own files: folders, tables, frames, databases and entries."""
