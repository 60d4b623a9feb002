"""One verb per file: lock, check, change, record."""
