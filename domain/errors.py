"""The error tree. A command's outcome is a value (`domain.outcomes`), never one of these.

PerpDexError
├── InvalidInput          the caller's fault; names the field; nothing was done
├── NotFound              no such object for this principal
├── NotAllowed            the principal may not do this
├── Conflict              the object's state forbids it (a finished order, another body)
├── RiskRefused           our own limit or halt; nothing was sent
├── Unavailable           something we need does not answer; nothing was sent
│   ├── MarkPriceNeeded   a limit cannot be measured without the mark price
│   └── VenueUnavailable  the venue, on a query
├── VenueRefused          the venue answered a query with a refusal
└── CorruptState          stored state contradicts itself; stop and ask an operator
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.violations import Violation


class PerpDexError(Exception):
    """Whatever this system refuses or cannot do, with a `code` machines can read."""

    code = "error"


class InvalidInput(PerpDexError):
    """A field of the caller's input cannot be taken; `field` names it."""

    code = "invalid_input"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFound(PerpDexError):
    """No such object, or none that this principal may know of."""

    code = "not_found"


class NotAllowed(PerpDexError):
    """The principal may not do this."""

    code = "not_allowed"


class Conflict(PerpDexError):
    """The object's present state forbids what was asked; nothing was done."""

    code = "conflict"

    def __init__(self, message: str, *, code: str = "conflict") -> None:
        super().__init__(message)
        self.code = code


class RiskRefused(PerpDexError):
    """One of our own limits, or a halt, refuses the command; nothing was sent.

    `violations` are the limits exceeded; none where a halt, a block or our clock refuses.
    """

    code = "risk_limit"

    def __init__(self, message: str, *, violations: Sequence[Violation] = ()) -> None:
        super().__init__(message)
        self.violations = tuple(violations)


class Unavailable(PerpDexError):
    """A part of the system that is needed does not answer; nothing was sent."""

    code = "unavailable"


class MarkPriceNeeded(Unavailable):
    """A limit is measured by the market's mark price, and the draft brought none."""

    code = "mark_price_needed"


class VenueUnavailable(Unavailable):
    """The venue does not answer a query, or answers what cannot be read."""

    code = "venue_unavailable"


class VenueRefused(PerpDexError):
    """The venue answered a query, and its answer is a refusal."""

    code = "venue_refused"


class CorruptState(PerpDexError):
    """Stored state contradicts itself; an operator has to look before anything goes on."""

    code = "corrupt_state"
