"""The simulated exchange, without any venue's wire."""
