"""What the worker process is made of; only `worker.py` composes it, and nothing imports it.

Knows every room below the API. Decides nothing.
"""
