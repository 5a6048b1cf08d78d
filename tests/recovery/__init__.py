"""Damage done on purpose, and what becomes of the orders."""
