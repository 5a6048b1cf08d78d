"""Secrets at rest: sealed boxes, protected key files, the payload key ring, the API token.

Knows nothing of ours: no accounts, no database, no settings; callers pass paths and names.
"""
