"""JARVIS-DFT, by named releases."""
