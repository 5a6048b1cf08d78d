"""Vest: a perpetuals exchange with one public API, v2, that may be gone; experimental here."""
