"""Cut off bodies that are too large before anything of them is kept: Django would spool them to disk first."""

from __future__ import annotations

from hub import problems
from hub.waiting import App, Message, Receive, Scope, Send

MAX_BODY_BYTES = 5 * 1024 * 1024  # above settings.MAX_SUBMISSION_BYTES, whose door answers more exactly


class Bounds:
    """The ASGI layer: counts what comes in and answers 413 instead of reading on."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counting `receive`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        counted, is_answering, is_refused = 0, False, False

        async def bounded() -> Message:
            nonlocal counted, is_refused
            message = await receive()
            counted += len(message.get("body") or b"")
            if counted > MAX_BODY_BYTES:
                is_refused = True
                if not is_answering:
                    await refuse(send)
                return {"type": "http.disconnect"}
            return message

        async def watched(message: Message) -> None:
            nonlocal is_answering
            if not is_refused:
                is_answering = True
                await send(message)

        await self.app(scope, bounded, watched)


async def refuse(send: Send) -> None:
    """The whole answer, as a problem document (RFC 9457), with the connection closed after it."""
    detail = f"The body is larger than {MAX_BODY_BYTES:,} bytes; send it in parts."
    body = problems.problem("body-too-large", detail, status=413).content
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
