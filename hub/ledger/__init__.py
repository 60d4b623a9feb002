"""The floor: an append-only log of all that happened, as leaves of a Merkle tree."""
