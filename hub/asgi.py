"""The web server's handle: Django behind a bound on bodies, and a layer that lets requests wait."""

import gc
import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from hub.waiting import App

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler

ASGIHandler.chunk_size = 2**22  # a page leaves in one piece: each of its 64 KiB slices cost as much as several items
django = cast("App", get_asgi_application())  # Django types its messages as unchangeable mappings

from hub.bounds import Bounds  # noqa: E402  imports models, which the line above makes ready
from hub.waiting import Waiting  # noqa: E402  as above

application = Bounds(Waiting(django))

gc.freeze()  # what is loaded by now stays; a page makes ten thousand objects and no cycles
gc.set_threshold(50_000, 20, 20)
