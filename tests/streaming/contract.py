"""Whether a message is what docs/asyncapi.json says: checked with the document alone.

Stricter than a client has to be: nothing may be there that is not documented.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

DOCUMENT = Path(__file__).parents[2] / "docs" / "asyncapi.json"


@cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    for schema in loaded["components"]["schemas"].values():
        if schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return loaded


@cache
def validators(kind: str, value: str) -> dict[str, Draft202012Validator]:
    """Return by name what can be checked of messages whose `type` (or `op`) is `value`."""
    found = {}
    for name, message in document()["components"]["messages"].items():
        properties = document()["components"]["schemas"][name]["properties"]
        if properties.get(kind, {}).get("enum") == [value]:
            schema = message["payload"] | {"components": document()["components"]}
            Draft202012Validator.check_schema(schema)
            found[name] = Draft202012Validator(schema)
    return found


def documented_as(message: Mapping[str, Any], kind: str = "type") -> list[str]:
    """Return the names of the documented messages that `message` is one of."""
    return [
        name
        for name, validator in validators(kind, message[kind]).items()
        if validator.is_valid(message)
    ]


def assert_documented(message: Mapping[str, Any], kind: str = "type") -> None:
    if len(documented_as(message, kind)) == 1:
        return
    candidates = validators(kind, message[kind])
    errors = {
        name: [error.message[:200] for error in validator.iter_errors(message)]
        for name, validator in candidates.items()
    }
    raise AssertionError(f"expected exactly one documented message, found {message}: {errors}")
