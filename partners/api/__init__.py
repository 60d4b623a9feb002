"""A partner manages its own keys over HTTP."""
