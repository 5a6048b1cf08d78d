"""Lighter. Deliberately empty: the registry names `spec`, the simulator shares nothing."""
