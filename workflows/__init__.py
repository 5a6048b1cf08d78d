"""Workflows: one per file, deciding by `domain`, acting by typed references to activities.

Beside them, outside the sandbox: `client.py` (the door for everybody else), `payloads.py` (the
encrypted converter) and `orphans.py` (the sweep).
"""
