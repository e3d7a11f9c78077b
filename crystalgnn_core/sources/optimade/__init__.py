"""Databases that answer by the OPTIMADE specification."""
