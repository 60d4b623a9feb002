"""The web server's handle: Django behind a bound on bodies, and a layer that lets requests wait."""

import asyncio
import contextvars
import gc
import os
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from hub.waiting import App, Message, Receive, Scope, Send

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

import django
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

_THREADS = 64  # reads take at most sixteen of them (hub/waiting.py); what finds none waits its turn


class OneThread(ASGIHandler):
    """Django's handler with all that a request runs in one visit to one thread, since all of it is synchronous.

    Left to itself it starts two threads for each request and goes back and forth between them and the event loop four
    times, the last time to wait for a thread's end before anything is sent: 2 to 3 ms of a request, more when the
    processors are busy.
    """

    def __init__(self) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="request")

    def load_middleware(self, is_async: bool = False) -> None:
        """The chain as a WSGI server would have it."""
        del is_async
        super().load_middleware(is_async=False)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:  # type: ignore[override]
        """Answer one request. Whoever hangs up meanwhile is answered nevertheless: no thread can be stopped."""
        if scope["type"] != "http":
            raise ValueError(f"This hub serves HTTP, not {scope['type']}.")
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        context = contextvars.copy_context()  # what one request sets is not seen by the thread's next
        loop = asyncio.get_running_loop()
        for message in await loop.run_in_executor(self._threads, context.run, self._answer, scope, body):
            await send(message)

    def _answer(self, scope: "Scope", body: IO[bytes]) -> list["Message"]:
        """From the beginning of a request to its end, with the connection to the database let go of."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        with body:
            request, refused = self.create_request(scope, body)
            response = cast("HttpResponseBase", refused) if request is None else self.get_response(request)
            response._handler_class = self.__class__  # type: ignore[attr-defined]  # whom `close` names as the sender
            try:
                return _messages(response)
            finally:
                response.close()


def _messages(response: HttpResponseBase) -> list["Message"]:
    """The response in ASGI's words. A page leaves in one piece: slices of 64 KiB cost as much as several items each."""
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    headers += [
        (b"set-cookie", cookie.output(header="").strip().encode("ascii")) for cookie in response.cookies.values()
    ]
    content = response.content if isinstance(response, HttpResponse) else b"".join(response)
    return [
        {"type": "http.response.start", "status": response.status_code, "headers": headers},
        {"type": "http.response.body", "body": content, "more_body": False},
    ]


django.setup(set_prefix=False)

from hub.bounds import Bounds  # noqa: E402  imports models, which the line above makes ready
from hub.waiting import Waiting  # noqa: E402  as above

application = Bounds(Waiting(cast("App", OneThread())))  # Django types its messages as unchangeable mappings

gc.freeze()  # what is loaded by now stays; a page makes ten thousand objects and no cycles
gc.set_threshold(50_000, 20, 20)
