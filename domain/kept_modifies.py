"""A modify that was asked for while nobody who decides heard it: kept until it is answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptModify:
    """What was asked: the new total quantity and price, None for what stays.

    Not begun by `begin_by` it is refused: a price asked for in one market is none for a later one.
    """

    request_id: str
    quantity: Decimal | None
    price: Decimal | None
    begin_by: datetime
