"""Valkey between our processes: nudges and requests for market data.

Nothing here is needed for correctness: with Valkey down everything goes on, only later. Knows the
domain's types and no other room.
"""
