"""How strict and how slow this exchange is: all that can be turned on or off at run time.

Plain data. A duplicate protection of which nobody knows whether the real venue has it is off by
default: an exchange that protects its user from his own duplicates would hide them.
"""

from __future__ import annotations

import msgspec


class Switches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The switches, each with the value that a load test and the official SDK can live with."""

    #: Time between the arrival of an action and its block, in milliseconds.
    commit_delay_ms: int = 0
    #: Time between the acknowledgement of a transaction and its execution, where a venue has both.
    sequencing_ms: int = 0
    #: Further time before an order that may take liquidity, where a venue has such a thing.
    speed_bump_ms: int = 0
    #: Refuse a client order id that a live order of the account already has.
    refuse_duplicate_client_ids: bool = False
    #: Refuse a signed message of which an order was made before, whatever became of it.
    refuse_duplicate_messages: bool = False
    #: How many of an account's newest orders can be looked up once they have ended.
    order_retention: int = 2_000
    #: How long a new order cannot be looked up by either id, in milliseconds.
    lookup_lag_ms: int = 0
    #: Limit the number of open orders of an account.
    open_order_limit: bool = False
    #: Count request weight per remote address and answer 429 above 1,200 a minute.
    ip_limit: bool = False
    #: Limit actions per account to 10,000 and one per dollar ever traded.
    address_limit: bool = False
    #: Allow the scheduled cancel only above 1,000,000 dollars traded.
    schedule_cancel_needs_volume: bool = False
    #: Pay funding at every full hour.
    hourly_funding: bool = True
    #: Close a socket after this long without a frame from us, in milliseconds.
    socket_silence_ms: int = 60_000
    #: Cadence of periodic socket frames, in milliseconds.
    book_interval_ms: int = 5_400
    fast_book_interval_ms: int = 540
    mids_interval_ms: int = 5_000
    context_interval_ms: int = 1_000
