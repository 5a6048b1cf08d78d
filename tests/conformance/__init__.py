"""What every venue has to hold, whichever it is: one matrix over the registry and its capabilities.

Each test runs for each registered venue, against that venue's real simulator over real sockets, by
the Protocols of `venues.connector` alone, with the real intent ledger and the real activities. The
witness is the exchange's own book-keeping, never the connector.

Nothing is skipped. What a venue declares is tried; what it does not declare has to be refused by
the connector before anything is sent, and that is tried as well. Whoever adds a capability to a
venue's data without the code behind it, or code without the data, fails here.

How a venue joins: `tests/venues/<venue>/rig.py` with one `RIG`, see `tests.conformance.rig`; a
registered venue without one fails. docs/adding-a-venue.md says what else a venue consists of.
"""
