"""The SQL database: the intent ledger, orders, fills, accounts, markets, audit and halts.

Implements the ports of `domain.ports`; knows neither Temporal nor any venue.
"""
