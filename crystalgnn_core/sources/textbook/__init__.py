"""Crystals whose structures stand in textbooks."""
