"""Doors over HTTP, independent of each other."""
