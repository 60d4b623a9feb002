"""The app's name and label for Django."""

from django.apps import AppConfig


class SignalsConfig(AppConfig):
    """Nothing happens at start-up."""

    name = "signals"
    label = "signals"
