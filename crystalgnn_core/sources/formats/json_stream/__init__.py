"""JSON documents that are too long to load, by byte range."""
