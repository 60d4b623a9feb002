"""The ledger as a test may read it, or make it refuse."""

from tests.partners.conftest import LedgerRefuses, Recorded, ledger_refuses, recorded

__all__ = ["LedgerRefuses", "Recorded", "ledger_refuses", "recorded"]
