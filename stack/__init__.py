"""The supervisor behind `perp-dex up`, `down`, `status` and `logs`.

Starts every process of the embedded stack by command line and never imports what it starts.
"""
