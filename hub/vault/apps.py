"""The app's name and label for Django."""

from django.apps import AppConfig


class VaultConfig(AppConfig):
    """Nothing happens at start-up."""

    name = "hub.vault"
    label = "vault"
