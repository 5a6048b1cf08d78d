"""Reading what the user typed: numbers, percentages, choices. Wrong input is a usage error.

Every message says what was expected and what was found.
"""

from __future__ import annotations

import re
from decimal import Decimal

import typer

from domain.errors import InvalidInput
from domain.numbers import parse_positive

_SLIPPAGE = re.compile(r"(\d{1,4}(?:\.\d{1,4})?)(%|bps)", re.ASCII)
_SLIPPAGE_BPS_MAX = 5000


def positive(name: str, text: str) -> Decimal:
    """Return the positive decimal that `text` spells."""
    try:
        return parse_positive(name, text)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from None


def optional_positive(name: str, text: str | None) -> Decimal | None:
    """Return the positive decimal that `text` spells, None for none."""
    return None if text is None else positive(name, text)


def slippage_bps(text: str | None) -> int | None:
    """Return basis points of '0.5%' or '50bps'."""
    if text is None:
        return None
    match = _SLIPPAGE.fullmatch(text)
    bps = Decimal(0)
    if match is not None:
        bps = Decimal(match[1]) * (100 if match[2] == "%" else 1)
    if bps != bps.to_integral_value() or not 1 <= bps <= _SLIPPAGE_BPS_MAX:
        raise typer.BadParameter(
            f"--max-slippage: expected 0.01% to 50%, or 1bps to {_SLIPPAGE_BPS_MAX}bps, "
            f"found {text[:32]!r}"
        )
    return int(bps)


def one_of(name: str, text: str, known: tuple[str, ...]) -> str:
    """Return `text` if it is one of `known`."""
    if text not in known:
        raise typer.BadParameter(f"{name}: expected one of {', '.join(known)}, found {text[:32]!r}")
    return text
