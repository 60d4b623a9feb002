"""Our own JSON dialect of the API."""
