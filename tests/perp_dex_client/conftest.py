"""The API's fixtures: the client is tested against the real thing."""

from tests.api.conftest import api, database_template, plain_log_lines, storage

__all__ = ["api", "database_template", "plain_log_lines", "storage"]
