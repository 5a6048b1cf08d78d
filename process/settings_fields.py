"""What can be said of a settings class without reading any value: variables, meaning, secrecy.

Used to explain wrong values and to generate the documentation. Works for any pydantic-settings
class; knows none of ours.
"""

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from process.redaction import is_sensitive_name


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsField:
    """One field of a settings class as its user sees it."""

    name: str
    #: Environment names in the order in which they are read; the first is the documented one.
    variables: tuple[str, ...]
    kind: str
    #: The default as it would be written in `.env`; None where a value is required or unset.
    default: str | None
    required: bool
    secret: bool
    meaning: str


def settings_fields(cls: type[BaseSettings]) -> list[SettingsField]:
    """List the fields of `cls` in the order of their declaration."""
    prefix = str(cls.model_config.get("env_prefix") or "")
    return [_field(name, info, prefix) for name, info in cls.model_fields.items()]


def _field(name: str, info: FieldInfo, prefix: str) -> SettingsField:
    variables = _variables(name, info, prefix)
    secret = _is_secret(name, info)
    return SettingsField(
        name=name,
        variables=variables,
        kind=_kind(info.annotation),
        default=None if secret else _default(info),
        required=info.is_required(),
        secret=secret,
        meaning=" ".join((info.description or "").split()),
    )


def _variables(name: str, info: FieldInfo, prefix: str) -> tuple[str, ...]:
    alias = info.validation_alias
    if alias is None:
        return (f"{prefix}{name}".upper(),)
    if isinstance(alias, str):
        return (alias.upper(),)
    if isinstance(alias, AliasChoices):
        names = [choice for choice in alias.choices if isinstance(choice, str)]
        if names:
            return tuple(choice.upper() for choice in names)
    raise TypeError(f"field {name!r}: expected an alias that is a name, found {alias!r}")


def _is_secret(name: str, info: FieldInfo) -> bool:
    extra = info.json_schema_extra
    if isinstance(extra, Mapping) and "secret" in extra:
        return bool(extra["secret"])
    if {SecretStr, SecretBytes} & set(_members(info.annotation)):
        return True
    is_path = "path" in _kind(info.annotation)
    return is_sensitive_name(name) and not is_path


def _members(annotation: object) -> Sequence[object]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [member for part in get_args(annotation) for member in _members(part)]
    return [annotation]


def _kind(annotation: object) -> str:
    names = [_kind_of_one(member) for member in _members(annotation) if member is not type(None)]
    return " or ".join(dict.fromkeys(names))


def _kind_of_one(member: object) -> str:
    origin = get_origin(member)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in get_args(member))
    if origin is not None:
        return "JSON"
    if not isinstance(member, type):
        return str(member)
    if issubclass(member, Enum):
        return ", ".join(f"`{choice.value}`" for choice in member)
    words = {
        "str": "text",
        "bool": "true, false",
        "int": "integer",
        "Decimal": "decimal",
        "float": "number",
        "SecretStr": "text",
        "SecretBytes": "text",
    }
    return words.get(member.__name__, member.__name__.lower())


def _default(info: FieldInfo) -> str | None:
    if info.is_required():
        return None
    if info.default_factory is not None:
        # A computed default depends on the machine; its description says what it is.
        return None
    value = info.default
    if value is None:
        return None
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, set, frozenset)):
        return json.dumps([str(item) for item in value])
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value)
