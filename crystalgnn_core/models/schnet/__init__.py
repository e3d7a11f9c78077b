"""The continuous-filter network of Schütt et al. (2018)."""
