"""What every process of ours does at its start: logging, settings, heartbeat, signals, death.

Imported by composition roots only; knows nothing of orders, venues or any other room.
"""
