"""The vocabulary of trading and every decision that needs no I/O.

Knows nothing but the standard library: no venue, no Temporal, no SQL, no clock of its own.
"""
