"""The app's name and label for Django."""

from django.apps import AppConfig


class StaffConfig(AppConfig):
    """Nothing happens at start-up."""

    name = "hub.staff"
    label = "staff"
    verbose_name = "People"
