"""The ledger as a test may read it, or make it refuse."""

from tests.partners.conftest import LedgerRefuses, Recorded, ledger_refuses, no_leaf_to_come, recorded

__all__ = ["LedgerRefuses", "Recorded", "ledger_refuses", "no_leaf_to_come", "recorded"]
