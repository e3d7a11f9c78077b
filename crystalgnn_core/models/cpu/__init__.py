"""Compiled kernels for the CPU that do in one pass what tensor operations do in many."""
