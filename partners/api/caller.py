"""The Caller of a request that has passed its permissions, and how the ledger names it."""

from __future__ import annotations

from rest_framework.request import Request

from partners.public import Caller


def caller(request: Request) -> Caller:
    """Who is asking; a view that reaches this has asked for IsPartner or HasScope."""
    assert isinstance(request.auth, Caller)
    return request.auth


def actor(request: Request) -> str:
    """The ledger's word for the caller: "partner:acme-social"."""
    return f"partner:{caller(request).slug}"
