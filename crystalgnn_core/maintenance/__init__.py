"""Upkeep of a store: compaction and checks of integrity, across the stages."""
