"""The kill switch against a venue that loses requests, with the worker killed on the way."""
