"""The web server's handle: Django behind a bound on bodies, and a layer that lets requests wait."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

from django.core.asgi import get_asgi_application  # noqa: E402  the settings' name must stand first

django = get_asgi_application()

from hub.bounds import Bounds  # noqa: E402  imports models, which the line above makes ready
from hub.waiting import Waiting  # noqa: E402  as above

application = Bounds(Waiting(django))
