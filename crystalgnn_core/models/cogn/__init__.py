"""The connectivity-optimised graph network of Ruff et al. (2024)."""
