"""Into how many parts the venue divides a unit for signing, as its metadata spell it. Pure."""

from __future__ import annotations

from decimal import Decimal


def resolution_of(text: str) -> Decimal:
    """Return a resolution, spelled in decimal or as 0x and hexadecimal digits.

    Raises ValueError or ArithmeticError for anything else.
    """
    return Decimal(int(text, 16)) if text.lower().startswith("0x") else Decimal(text)
