"""The ledger as a test may read it, or make it refuse."""

from tests.partners.conftest import ledger_refuses, recorded

__all__ = ["ledger_refuses", "recorded"]
