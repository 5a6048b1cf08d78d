"""Ports are Protocols: what storage must offer, without a line of how."""

from __future__ import annotations

import inspect
from typing import Protocol

from domain import ports

PROTOCOLS = [
    value
    for value in vars(ports).values()
    if isinstance(value, type) and Protocol in value.__bases__
]


def test_every_port_method_is_async_and_documented() -> None:
    assert len(PROTOCOLS) >= 6
    for protocol in PROTOCOLS:
        for name, method in vars(protocol).items():
            if name.startswith("_") or not inspect.isfunction(method):
                continue
            assert inspect.iscoroutinefunction(method), f"{protocol.__name__}.{name}"
            assert inspect.getdoc(method), f"{protocol.__name__}.{name}"
