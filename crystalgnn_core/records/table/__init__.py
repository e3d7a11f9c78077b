"""The record table: a Delta table, its rows, upserts and versions."""
