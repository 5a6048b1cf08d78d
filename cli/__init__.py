"""The command line `perp-dex`: data on stdout, words on stderr, an exit code that means something.

Talks to the public API and to the stack's supervisor; knows no venue, no Temporal, no database.
"""
