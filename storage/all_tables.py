"""Every table of the schema, for migrations and their test: importing this fills `metadata`."""

from __future__ import annotations

import storage.account_group_tables
import storage.closing_tables
import storage.condition_tables
import storage.credential_tables
import storage.halt_tables
import storage.key_claims
import storage.position_tables
import storage.reconciliation_tables
import storage.risk_tables
import storage.routing_tables
import storage.sealing_key_tables  # noqa: F401 - its tables join the metadata
from storage.tables import metadata

__all__ = ["metadata"]
