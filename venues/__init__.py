"""Venues: what one is, one folder for each, and the simulated exchange. Importing costs nothing."""
