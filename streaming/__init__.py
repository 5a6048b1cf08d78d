"""The streaming process: what venues tell us goes into storage, and from there to order sockets.

`bridge.py` is the only file that knows workflows; nothing here signs or sends a command.
"""
