"""Candidates, predictions, duplicates and ranking."""
