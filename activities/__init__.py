"""Where Temporal meets a venue: thin classes with injected ports and connectors.

Knows the ports of `domain` and the connector Protocol; never SQL, HTTP or a concrete venue.
"""
