"""Tests of storage: one suite over SQLite and a real PostgreSQL server."""
