"""The vault's commands for the person who runs the hub."""
