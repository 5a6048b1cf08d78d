"""Checks of the house itself: its arrows, sizes, documents and promises."""
