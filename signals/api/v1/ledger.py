"""The ledger as a member may ask of it: its own leaves, their proofs, and that the log only grows."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from hub.ledger import checkpoints, proving, tree
from hub.ledger.checkpoints import Signed
from hub.ledger.proving import NotSignedYet, OwnLeaf
from hub.ledger.tlog.proofs import consistency_proof, inclusion_proof
from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope, IsPartner
from partners.api.view import Door
from signals.api.v1.pages import refuse_unknown, whole
from signals.compliance import minutes
from signals.core.refusals import LeafNotSigned, NotFound, ParameterInvalid

_PROOF = "text/plain"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_HASH = "base64 of 32 bytes"
_PLACE = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}


class CosignatureShape(serializers.Serializer[Any]):
    """That a witness saw this checkpoint, and no other history, when it says."""

    witness = serializers.CharField(help_text="its name in the published policy")
    at = serializers.DateTimeField(help_text="by its own clock")


class CheckpointShape(serializers.Serializer[Any]):
    """The newest signed head of the log."""

    origin = serializers.CharField(help_text="the log's name")
    size = serializers.IntegerField(help_text="leaves")
    root_hash = serializers.CharField(help_text=_HASH)
    signed_at = serializers.DateTimeField()
    cosigned = CosignatureShape(many=True)
    note = serializers.CharField(help_text="the checkpoint itself with all signatures (C2SP tlog-checkpoint)")


class LeafShape(serializers.Serializer[Any]):
    """One leaf of the log."""

    index = serializers.IntegerField()
    hash = serializers.CharField(help_text=f"{_HASH}: SHA-256 of a zero byte and the entry (RFC 6962)")
    entry = serializers.CharField(help_text="its exact bytes, which are UTF-8: canonical JSON (RFC 8785)")


class LeavesShape(serializers.Serializer[Any]):
    """Leaves in the log's order."""

    leaves = LeafShape(many=True)
    next = serializers.IntegerField(help_text="send it as `start`; also at the end, for what comes later")
    more = serializers.BooleanField(help_text="whether the log goes on; a page may be empty and still have more")


class DisclosuresShape(serializers.Serializer[Any]):
    """What one leaf about disclosures commits to."""

    rows = serializers.ListField(
        child=serializers.CharField(),
        help_text=(
            "the exact bytes of each page or body, canonical JSON: when, by which channel and walk, how many signals, "
            "and the Merkle root of their (id, revision) pairs. `span` is the hub's seal on their places"
        ),
    )


class InclusionShape(serializers.Serializer[Any]):
    """That a leaf stands in the tree of a size (RFC 6962 §2.1.1)."""

    index = serializers.IntegerField()
    size = serializers.IntegerField()
    hashes = serializers.ListField(child=serializers.CharField(), help_text=f"{_HASH} each, the leaf's sibling first")


class ConsistencyShape(serializers.Serializer[Any]):
    """That a log of one size is how that of another begins (RFC 6962 §2.1.2)."""

    old = serializers.IntegerField()
    new = serializers.IntegerField()
    hashes = serializers.ListField(child=serializers.CharField(), help_text=f"{_HASH} each")


class ProofRenderer(BaseRenderer):
    """Named so that content negotiation knows proof files, which are plain text."""

    media_type = _PROOF
    format = "txt"

    def render(
        self, data: object, accepted_media_type: str | None = None, renderer_context: Mapping[str, object] | None = None
    ) -> bytes:
        """Nothing comes this way: a file is answered as it is, and a refusal as a problem document."""
        del accepted_media_type, renderer_context
        return str(data).encode()


class LedgerCheckpointView(Door):
    """The newest checkpoint."""

    permission_classes = [IsPartner]

    @extend_schema(
        operation_id="getLedgerCheckpoint",
        summary="Read the newest checkpoint of the ledger",
        tags=["ledger"],
        description=(
            "What every proof leads to: the log's size and root, signed by the hub and cosigned by witnesses. Keep the "
            "newest one you have seen, and have every later one proven to continue it. `not-found` before the first."
        ),
        responses=CheckpointShape,
        extensions=refuses("not-found"),
    )
    def get(self, request: Request) -> Response:
        """As a document; /ledger/checkpoint answers with the note alone."""
        refuse_unknown(request, ())
        signed = _latest()
        cosigned = [{"witness": witness, "at": at} for witness, at in signed.cosigned]
        head = {"origin": checkpoints.origin(), "size": signed.size, "root_hash": _text(signed.root)}
        return Response(
            {**head, "signed_at": signed.signed_at, "cosigned": cosigned, "note": signed.note.decode("utf-8")}
        )


class LedgerLeavesView(Door):
    """The caller's own leaves."""

    permission_classes = [HasScope("ledger:read")]

    @extend_schema(
        operation_id="listLedgerLeaves",
        summary="Read one's own leaves of the ledger",
        tags=["ledger"],
        description=(
            "What the ledger says about the calling partner and no other: its submissions and the verdicts on them, "
            "what was disclosed to it, its keys, endpoints and memberships. In the log's order, from the first or from "
            "an index on; about one signal or submission where that is named."
        ),
        parameters=[
            OpenApiParameter(
                "start",
                {"type": "integer", "minimum": 0, "default": 0},
                description="an index: `next` of the page before",
            ),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 200}),
            OpenApiParameter("signal", OpenApiTypes.UUID, description="only leaves about this signal"),
            OpenApiParameter("submission", OpenApiTypes.UUID, description="only leaves about this submission"),
        ],
        responses=LeavesShape,
        extensions=refuses("missing-scope", "parameter-invalid"),
    )
    def get(self, request: Request) -> Response:
        """One page."""
        refuse_unknown(request, {"start", "limit", "signal", "submission"})
        start, limit = _number(request, "start", 0), whole(request, "limit", 200, 1, 500)
        found = proving.own_leaves(_subject(request), start=start, limit=limit, about=_about(request))
        return Response({"leaves": list(map(_leaf, found.leaves)), "next": found.next, "more": found.more})


class LedgerLeafView(Door):
    """One leaf of the caller's own."""

    permission_classes = [HasScope("ledger:read")]

    @extend_schema(
        operation_id="getLedgerLeaf",
        summary="Read one leaf of one's own",
        tags=["ledger"],
        responses=LeafShape,
        extensions=refuses("missing-scope", "not-found"),
    )
    def get(self, request: Request, index: int) -> Response:
        """Its exact bytes."""
        return Response(_leaf(_own_leaf(request, index)))


class LedgerProofView(Door):
    """The proof of one leaf, as a file."""

    permission_classes = [HasScope("ledger:read")]
    renderer_classes = [ProofRenderer]

    @extend_schema(
        operation_id="getLedgerProof",
        summary="Fetch one leaf of one's own with its proof, as a .tlog-proof file",
        tags=["ledger"],
        description=(
            "C2SP tlog-proof: the leaf's exact bytes (`extra`), its index, the inclusion proof and a checkpoint. "
            "Whoever knows the log's key can check the file without the hub: `heliograph verify-proof FILE`."
        ),
        responses={(200, _PROOF): OpenApiResponse(OpenApiTypes.STR)},
        extensions=refuses("missing-scope", "not-found", "leaf-not-signed"),
    )
    def get(self, request: Request, index: int) -> HttpResponse:
        """The file."""
        try:
            file = proving.proof_file(_own_leaf(request, index))
        except NotSignedYet:
            raise LeafNotSigned("No checkpoint covers this leaf yet; ask again in a few seconds.") from None
        named = f'attachment; filename="{index}.tlog-proof"'
        return HttpResponse(
            file.encode(), content_type=f"{_PROOF}; charset=utf-8", headers={"Content-Disposition": named}
        )


class LedgerDisclosuresView(Door):
    """The rows below a leaf about disclosures."""

    permission_classes = [HasScope("ledger:read")]

    @extend_schema(
        operation_id="listLedgerDisclosures",
        summary="Read which pages and bodies a leaf about disclosures stands for",
        tags=["ledger"],
        description=(
            "A leaf `feed.disclosed`, `delivery.disclosed` or `notices.disclosed` names its subject "
            "`disclosures:<id>` and the `root` over all that was sent in one minute by one channel. These are the rows "
            "of that tree, in order: their RFC 6962 root is the leaf's, and a page that you kept is one of them."
        ),
        responses=DisclosuresShape,
        extensions=refuses("missing-scope", "not-found"),
    )
    def get(self, request: Request, disclosures_id: UUID) -> Response:
        """Their exact bytes."""
        refuse_unknown(request, ())
        rows = minutes.rows_of(disclosures_id, partner_id=caller(request).partner_id)
        return Response({"rows": [row.decode("utf-8") for row in rows]})


class LedgerInclusionView(Door):
    """An inclusion proof."""

    permission_classes = [IsPartner]

    @extend_schema(
        operation_id="proveLedgerInclusion",
        summary="Have it proven that a leaf stands in the log",
        tags=["ledger"],
        description=(
            "The hashes that lead from a leaf to the root. They say nothing of any leaf's contents, and are open to "
            "every partner, as the log's hash tiles are."
        ),
        parameters=[
            OpenApiParameter("index", _PLACE, required=True, description="the leaf's index"),
            OpenApiParameter(
                "size",
                {**_PLACE, "minimum": 1},
                description="the tree to prove it in; by default that of the newest checkpoint, which is also the most",
            ),
        ],
        responses=InclusionShape,
        extensions=refuses("parameter-invalid", "not-found"),
    )
    def get(self, request: Request) -> Response:
        """The proof."""
        refuse_unknown(request, {"index", "size"})
        latest = _latest()
        index, size = _number(request, "index"), _number(request, "size", latest.size)
        if not index < size <= latest.size:
            raise ParameterInvalid(f"`index` is below `size`, which is at most {latest.size}.", parameter="index")
        hashes = inclusion_proof(index, size, tree.nodes(latest.size))
        return Response({"index": index, "size": size, "hashes": list(map(_text, hashes))})


class LedgerConsistencyView(Door):
    """A consistency proof."""

    permission_classes = [IsPartner]

    @extend_schema(
        operation_id="proveLedgerConsistency",
        summary="Have it proven that the log has only grown",
        tags=["ledger"],
        description="The hashes that show a log of one size to be the beginning of that of another.",
        parameters=[
            OpenApiParameter("old", _PLACE, required=True, description="the earlier size"),
            OpenApiParameter(
                "new",
                _PLACE,
                description="the later size; by default that of the newest checkpoint, which is also the most",
            ),
        ],
        responses=ConsistencyShape,
        extensions=refuses("parameter-invalid", "not-found"),
    )
    def get(self, request: Request) -> Response:
        """The proof."""
        refuse_unknown(request, {"old", "new"})
        latest = _latest()
        old, new = _number(request, "old"), _number(request, "new", latest.size)
        if not old <= new <= latest.size:
            raise ParameterInvalid(f"`old` is no larger than `new`, which is at most {latest.size}.", parameter="old")
        hashes = consistency_proof(old, new, tree.nodes(latest.size))
        return Response({"old": old, "new": new, "hashes": list(map(_text, hashes))})


def _latest() -> Signed:
    latest = checkpoints.latest()
    if latest is None:
        raise NotFound("There is no checkpoint yet.")
    return latest


def _own_leaf(request: Request, index: int) -> OwnLeaf:
    refuse_unknown(request, ())
    found = proving.own_leaf(_subject(request), index) if index < 2**63 else None
    if found is None:
        raise NotFound("There is no such leaf of yours.")
    return found


def _subject(request: Request) -> str:
    return f"partner:{caller(request).slug}"


def _about(request: Request) -> list[str]:
    """The signal and the submission that are asked about, where they are."""
    asked = []
    for kind in ("signal", "submission"):
        text = request.query_params.get(kind)
        if text is None:
            continue
        try:
            asked.append(f"{kind}:{UUID(text)}")
        except ValueError:
            raise ParameterInvalid(f"`{kind}` is a UUID.", parameter=kind) from None
    return asked


def _number(request: Request, name: str, default: int | None = None) -> int:
    """A parameter that is a whole number from 0 on; refused where it is lacking and has no default."""
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is None or not _NUMBER.fullmatch(text):
        raise ParameterInvalid(f"`{name}` is a whole number.", parameter=name)
    return int(text)


def _leaf(found: OwnLeaf) -> dict[str, object]:
    return {"index": found.index, "hash": _text(found.leaf_hash), "entry": found.entry.decode("utf-8")}


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
