"""WHAT is shared, and its life: submit, verify, hold, publish, deliver, withdraw, expire, purge."""
