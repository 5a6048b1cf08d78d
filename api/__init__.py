"""The REST API: a thin door that authenticates, checks, asks the workflows and reads SQL.

Knows no venue, opens no credential and sends nothing to anybody but our own parts.
"""
