"""The MatErials Graph Network of Chen et al. (2019)."""
