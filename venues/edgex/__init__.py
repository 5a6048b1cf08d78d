"""EdgeX V2: one perpetuals exchange behind the two Protocols of `venues.connector`."""
