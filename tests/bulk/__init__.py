"""Decisions in bulk."""
