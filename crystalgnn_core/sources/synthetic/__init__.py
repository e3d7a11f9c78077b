"""Crystals and labels of a documented physical model."""
