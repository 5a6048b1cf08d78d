"""Every table of the schema, for migrations and their test: importing this fills `metadata`."""

from __future__ import annotations

from storage.tables import metadata

__all__ = ["metadata"]
