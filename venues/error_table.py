"""A venue's error table as data: what each refusal it documents proves of a command.

One row for each text, code or status, in the venue's own spelling. Tests send every row through the
connector and compare; documents print it. Knows no venue, and classifies nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ErrorScope(StrEnum):
    """What an error is said about."""

    #: The whole signed request.
    REQUEST = "request"
    #: One order of a request that was taken.
    ORDER = "order"
    #: A status of HTTP, whatever its body says.
    HTTP = "HTTP status"


class OutcomeClass(StrEnum):
    """The kinds of `domain.outcomes`, as a table names them."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    ACKNOWLEDGED = "acknowledged"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """One refusal of a placement.

    `spelled` is the venue's text, code or status; `code` our word for it. `first` is what it proves
    as the answer to a first send, `again` as the answer to a copy of bytes that were sent before:
    then an earlier copy may be under way or done, so a refusal of the copy decides less.
    `retryable`: the same intent may be tried again.
    """

    scope: ErrorScope
    spelled: str
    code: str
    first: OutcomeClass
    again: OutcomeClass
    retryable: bool = False
