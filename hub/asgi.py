"""The web server's handle: Django behind a bound on bodies, and a layer that lets requests wait."""

import gc
import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from hub.waiting import App

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http.response import HttpResponseBase


class OneThread(ASGIHandler):
    """Django's handler with middleware and view in one thread, since all of them are synchronous.

    Left to itself it goes back to the event loop between the two, and from there to the thread again.
    """

    chunk_size = 2**22  # a page leaves in one piece: each of its 64 KiB slices cost as much as several items

    def load_middleware(self, is_async: bool = False) -> None:
        """The chain as a WSGI server would have it."""
        del is_async
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: ASGIRequest) -> HttpResponseBase:  # type: ignore[override]
        """Run the whole chain in the request's thread."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


django.setup(set_prefix=False)

from hub.bounds import Bounds  # noqa: E402  imports models, which the line above makes ready
from hub.waiting import Waiting  # noqa: E402  as above

application = Bounds(Waiting(cast("App", OneThread())))  # Django types its messages as unchangeable mappings

gc.freeze()  # what is loaded by now stays; a page makes ten thousand objects and no cycles
gc.set_threshold(50_000, 20, 20)
