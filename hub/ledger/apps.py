"""The app's name and label for Django."""

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """Nothing happens at start-up."""

    name = "hub.ledger"
    label = "ledger"
