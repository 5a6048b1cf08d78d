"""The databases of the storage tests."""

from tests.storage.conftest import (  # noqa: F401 - fixtures
    postgres,
    postgres_template,
    postgres_url,
    sqlite_template,
    sqlite_url,
)
