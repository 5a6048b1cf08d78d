"""The schema's history, one file per change; run by `python -m storage.migrate`."""
