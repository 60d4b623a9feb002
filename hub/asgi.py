"""The web server's handle: Django behind a bound on bodies, and a layer that lets requests wait."""

import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from hub.waiting import App

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

from django.core.asgi import get_asgi_application

django = cast("App", get_asgi_application())  # Django types its messages as unchangeable mappings

from hub.bounds import Bounds  # noqa: E402  imports models, which the line above makes ready
from hub.waiting import Waiting  # noqa: E402  as above

application = Bounds(Waiting(django))
