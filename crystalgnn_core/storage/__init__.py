"""What lies on disk: written whole or not at all, verified by digest before reuse."""
