"""The member's side of a Heliograph hub: make keys, sign, submit, follow the feed, receive webhooks, verify."""
