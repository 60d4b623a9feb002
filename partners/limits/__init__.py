"""Counting what partners ask of the hub, atomically over all processes, and saying when it is too much."""
