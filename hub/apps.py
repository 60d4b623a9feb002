"""The roof as a Django app, so that its management commands and templates are found."""

from django.apps import AppConfig


class HubConfig(AppConfig):
    """Wiring only; it owns no tables."""

    name = "hub"
    label = "hub"

    def ready(self) -> None:
        """Logging is set up here, because Django's own set-up is off (`LOGGING_CONFIG = None`)."""
        from hub import celery as _becomes_current_app  # noqa: F401  wake-ups are sent through it by every process
        from hub import logs

        logs.configure()
