"""The streaming process in bad weather: lost, doubled, late and broken frames, and cut sockets."""
