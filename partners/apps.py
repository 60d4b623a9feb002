"""The app's name and label for Django."""

from django.apps import AppConfig


class PartnersConfig(AppConfig):
    """Nothing happens at start-up."""

    name = "partners"
    label = "partners"
