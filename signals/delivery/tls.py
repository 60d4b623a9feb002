"""How a receiver proves who it is, and we to it: system roots or its own CA bundle, and a client certificate."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache


class UnusableTls(ValueError):
    """The CA bundle or the client certificate is no PEM that OpenSSL takes. The message never repeats it."""


@dataclass(frozen=True, slots=True)
class Tls:
    """An endpoint's own TLS: `ca_pem` replaces the system's roots; `certificate_pem` is our chain and bare key."""

    ca_pem: str | None = None
    certificate_pem: bytes | None = field(default=None, repr=False)


@lru_cache(
    maxsize=512
)  # the same object each time, for connections are kept by it; and building one takes milliseconds
def context_of(tls: Tls) -> ssl.SSLContext:
    """A verifying client context (TLS 1.2 or newer); UnusableTls when the endpoint's PEM cannot be used."""
    if tls.ca_pem is not None and not tls.ca_pem.strip():
        raise UnusableTls("An empty CA bundle would mean the system's roots: leave it out for that.")
    try:
        # Bundles name their certificates in between, in any script; ssl takes ASCII only.
        roots = tls.ca_pem.encode("ascii", "replace").decode() if tls.ca_pem is not None else None
        context = ssl.create_default_context(cadata=roots)
        if tls.certificate_pem is not None:
            with _as_file(tls.certificate_pem) as path:
                context.load_cert_chain(path, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise UnusableTls("The CA bundle or the client certificate is not usable PEM.") from error
    return context


def _no_password() -> str:
    """Answer at once, so that OpenSSL never asks a terminal for the password of an encrypted key."""
    return ""


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path to the bytes for as long as needed: OpenSSL reads keys from files only. In memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.NamedTemporaryFile(prefix="heliograph-") as file:  # made readable by us alone
        file.write(content)
        file.flush()
        yield file.name
