"""The exchange itself, as every simulator needs it: matching, margin, a clock, a durable log.

Knows no venue's wire: a venue's simulator (`venues/<venue>/simulator.py`) speaks that over this.
"""
