"""The doors below /ledger/: the log as static files (C2SP tlog-tiles), hashes for members, entries for auditors alone.

They stand here because they ask who calls: a partner by its API key, or a member of staff by their session. An entry
bundle tells every member who talks to whom, so no API key opens one. What never changes may be kept by its reader for
ever, and by nobody between us.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from rest_framework.authentication import SessionAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from hub import problems
from hub.ledger import checkpoints
from hub.ledger.export import own_log
from hub.ledger.tile_store import StoreAway, TileLacking, tile_store
from hub.ledger.tlog import tiles
from hub.staff.roles import Capability, has
from partners.api.authentication import ApiKeyAuthentication
from partners.api.permissions import IsPartner
from partners.api.view import Door

_FOR_EVER = "private, max-age=31536000, immutable"
_FOR_A_MOMENT = "private, max-age=5"
_TEXT = "text/plain; charset=utf-8"


class _IsAuditor(BasePermission):
    """Staff with `ledger.read`."""

    def has_permission(self, request: Request, view: object) -> bool:
        """True for a session of somebody who has it."""
        del view
        return has(request.user, Capability.LEDGER_READ)


class _AsItIs(BaseContentNegotiation):
    """A file has the one type it has, whatever `Accept` says."""

    def select_parser(self, request: Request, parsers: object) -> None:
        """Nothing is sent here."""
        del request, parsers

    def select_renderer(
        self, request: Request, renderers: object, format_suffix: object = None
    ) -> tuple[BaseRenderer, str]:
        """Of no use: files are answered as they are, and refusals are problem documents."""
        del request, renderers, format_suffix
        return JSONRenderer(), "application/json"


class _File(Door):
    """What all of them have in common."""

    authentication_classes = [ApiKeyAuthentication, SessionAuthentication]
    permission_classes = [IsPartner | _IsAuditor]
    content_negotiation_class = _AsItIs
    schema = None
    http_method_names = ["get", "head"]


class CheckpointFile(_File):
    """The newest checkpoint with its cosignatures."""

    def get(self, request: Request) -> HttpResponse:
        """404 before the first."""
        del request
        latest = checkpoints.latest()
        return _not_found() if latest is None else _file(latest.note, _TEXT, _FOR_A_MOMENT)


class HashTile(_File):
    """A tile of hashes: `tile/<level>/<n>`, with `.p/<width>` a partial one."""

    def get(self, request: Request, name: str) -> HttpResponse:
        """404 for a tile that no checkpoint has needed yet."""
        del request
        return _from_store(_hashes, name)


class EntryBundle(_File):
    """The leaves themselves, 256 in a bundle."""

    permission_classes = [_IsAuditor]

    def get(self, request: Request, name: str) -> HttpResponse:
        """404 also for leaves below the minimum index."""
        del request
        return _from_store(_entries, name)


class MinimumIndex(_File):
    """The first leaf whose entry is still kept (tlog-tiles, pruning)."""

    def get(self, request: Request) -> HttpResponse:
        """A decimal number."""
        del request
        return _file(f"{checkpoints.minimum_index()}\n".encode(), _TEXT, _FOR_A_MOMENT)


class Policy(_File):
    """Whose cosignatures a checkpoint should bear (tlog-policy)."""

    def get(self, request: Request) -> HttpResponse:
        """As a verifier reads it."""
        del request
        return _file(checkpoints.policy_text().encode(), _TEXT, _FOR_A_MOMENT)


class Vkeys(_File):
    """The keys that checkpoints and export bundles are checked with, open to all as the hub's other public keys are."""

    authentication_classes = []
    permission_classes = [AllowAny]

    def get(self, request: Request) -> HttpResponse:
        """One vkey a line, the newest first, checkpoints' before exports'."""
        del request
        vkeys = [*checkpoints.vkeys(), *own_log.vkeys()]
        return _file("".join(f"{vkey}\n" for vkey in vkeys).encode(), _TEXT, "public, max-age=300")


def _hashes(name: str) -> bytes:
    level, n, width = tiles.read_path(f"tile/{name}")
    if level is None:
        raise tiles.NotATile("Entries have a door of their own.")
    _check_published(tiles.Tile(level, n, width))
    return tile_store().tile(level, n, width)


def _entries(name: str) -> bytes:
    _, n, width = tiles.read_path(f"tile/entries/{name}")
    if n * tiles.TILE_WIDTH + width <= checkpoints.minimum_index():
        raise TileLacking("These leaves have been parted with.")
    _check_published(tiles.Tile(0, n, width))
    return tile_store().bundle(n, width)


def _check_published(tile: tiles.Tile) -> None:
    """Tiles are written before their checkpoint is signed, and may still be replaced until it is."""
    if tile.end > checkpoints.size():
        raise TileLacking("No checkpoint needs this tile yet.")


def _from_store(read: Callable[[str], bytes], name: str) -> HttpResponse:
    try:
        return _file(read(name), "application/octet-stream", _FOR_EVER)
    except (tiles.NotATile, TileLacking):
        return _not_found()
    except StoreAway:
        detail = "The ledger's files cannot be read at the moment; try again later."
        return problems.problem("unavailable", detail, status=503, headers={"Retry-After": "30"})


def _file(content: bytes, kind: str, cache_control: str) -> HttpResponse:
    headers = {"Cache-Control": cache_control}
    if "private" in cache_control:
        headers["Vary"] = "Authorization, Cookie"
    return HttpResponse(content, content_type=kind, headers=headers)


def _not_found() -> HttpResponse:
    return problems.problem("not-found", "There is no such file of the ledger.", status=404)
