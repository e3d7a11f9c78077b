"""Splits, training, checkpoints, metrics and the registry of models."""
