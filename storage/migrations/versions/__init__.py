"""The changes themselves, oldest first by their number."""
