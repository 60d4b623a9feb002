"""The demo: three invented companies on a hub of their own, and everything that must be true of what they exchange."""
