"""Sockets and feeds, each beside a floor of the same run: `python -m benchmarks.streaming`."""
