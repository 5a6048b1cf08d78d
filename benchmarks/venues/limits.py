"""Our own rate budgets: opened wide, since they are not what is measured, and told as limits.

A venue's settings name its budget as a number `…_per_minute` or `…_per_second`; its default is what
the venue publishes. Where accounts of other tiers have others, the venue's limits have a table of
them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from pydantic_settings import BaseSettings

from venues import registry

_WIDE: Final = 1_000_000_000
_BY_TIER: Final = "WEIGHT_PER_MINUTE_BY_TIER"
_SPANS: Final = ("_per_minute", "_per_second")


def _budgets(venue: str) -> dict[str, tuple[str, Any]]:
    """Return the budgets of a venue's settings: each variable with its name and its field."""
    module = importlib.import_module(f"{registry.folder_of(venue)}.settings")
    found: dict[str, tuple[str, Any]] = {}
    for kind in vars(module).values():
        if not isinstance(kind, type) or not issubclass(kind, BaseSettings):
            continue
        prefix = str(kind.model_config.get("env_prefix", ""))
        for name, field in kind.model_fields.items():
            if name.endswith(_SPANS):
                found[f"{prefix}{name}".upper()] = (name, field)
    return found


def _tiers(venue: str) -> dict[str, float]:
    """Return the weights that a minute has by an account's tier, where a venue has tiers."""
    name = f"{registry.folder_of(venue)}.limits"
    if importlib.util.find_spec(name) is None:
        return {}
    found: dict[str, float] = getattr(importlib.import_module(name), _BY_TIER, {})
    return found


def published(venue: str) -> str:
    """Return the venue's limits in words, as its settings and its tiers have them."""
    limits = [
        f"{field.default:g} {name.replace('_', ' ')}" for name, field in _budgets(venue).values()
    ]
    limits += [f"{weight:g} weight per minute as {tier}" for tier, weight in _tiers(venue).items()]
    return ", ".join(limits)


@contextmanager
def wide(venue: str) -> Iterator[pytest.MonkeyPatch]:
    """Open a venue's budgets as wide as they go, and yield what else may be patched."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, (_, field) in _budgets(venue).items():
            bounds = [one.le for one in field.metadata if getattr(one, "le", None) is not None]
            patch.setenv(variable, str(min([_WIDE, *bounds])))
        for tier in _tiers(venue):
            patch.setitem(_tiers(venue), tier, _WIDE)
        yield patch
