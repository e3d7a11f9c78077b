"""Prefect tasks: one core call each, with retries, references and artifacts."""
