"""The ledger in the admin, read-only: checkpoints, and leaves through a view that lets nobody touch them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from hub.ledger import checkpoints
from hub.ledger.actions import ACTIONS
from hub.ledger.models import Checkpoint, Reading
from hub.ledger.tlog.merkle import leaf_hash
from hub.staff.gate import Figure, GatedAdmin
from hub.staff.roles import Capability
from hub.staff.site import site


class ActionFilter(admin.SimpleListFilter):
    """By action; the list is the registry, so that no query is needed to make it."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Reading]) -> list[tuple[str, str]]:
        """Every action there is."""
        del request, model_admin
        return [(name, name) for name in ACTIONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Reading]) -> QuerySet[Reading]:
        """The leaves of that action."""
        del request
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(Reading, site=site)
class ReadingAdmin(GatedAdmin[Reading]):
    """Leaves, newest first; found by action and by whole subjects."""

    to_view = Capability.LEDGER_READ
    place = 30
    list_display = ("index", "at", "action", "actor", "subjects_in_a_row")
    list_filter = (ActionFilter,)
    search_fields = ("subjects",)
    search_help_text = (
        "A whole subject: signal:<uuid>, partner:<slug>, programme:<slug>, submission:<uuid>, staff:<number>"
    )
    ordering = ("-index",)
    sortable_by = ()  # only the index is in order
    list_display_links = ("index",)
    fields = ("index", "meaning", "members", "leaf_hash_in_hex", "hash_is_right", "sealed_by")
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Reading], search_term: str
    ) -> tuple[QuerySet[Reading], bool]:
        """The leaves that mention every subject in the search box."""
        del request
        wanted = search_term.split()
        return (queryset.filter(subjects__contains=wanted) if wanted else queryset), False

    @admin.display(description="subjects")
    def subjects_in_a_row(self, leaf: Reading) -> str:
        """The first few."""
        shown = ", ".join(leaf.subjects[:3])
        return shown if len(leaf.subjects) <= len(leaf.subjects[:3]) else f"{shown} and {len(leaf.subjects) - 3} more"

    @admin.display(description="what it means")
    def meaning(self, leaf: Reading) -> str:
        """The registry's sentence."""
        return ACTIONS[leaf.action].meaning if leaf.action in ACTIONS else "An action of another version of the hub."

    @admin.display(description="the leaf")
    def members(self, leaf: Reading) -> str:
        """The leaf's own bytes, laid out."""
        return json.dumps(json.loads(bytes(leaf.entry)), indent=2, ensure_ascii=False)

    @admin.display(description="leaf hash")
    def leaf_hash_in_hex(self, leaf: Reading) -> str:
        """As tiles and proofs have it."""
        return bytes(leaf.leaf_hash).hex()

    @admin.display(description="hash fits the bytes", boolean=True)
    def hash_is_right(self, leaf: Reading) -> bool:
        """Hashed again, here and now."""
        return leaf_hash(bytes(leaf.entry)) == bytes(leaf.leaf_hash)

    @admin.display(description="under a checkpoint")
    def sealed_by(self, leaf: Reading) -> str:
        """The first one over it, and who cosigned that."""
        signed = checkpoints.at_least(leaf.index + 1)
        if signed is None:
            return "Not yet: the next checkpoint covers it."
        row = Checkpoint.objects.only("id").get(origin=checkpoints.origin(), signed_at=signed.signed_at)
        return format_html(
            '<a href="{}">the tree of {} leaves</a>, signed {}; {}',
            reverse("admin:ledger_checkpoint_change", args=[row.id]),
            signed.size,
            f"{signed.signed_at:%Y-%m-%d %H:%M:%S}",
            _witnesses(signed),
        )


@admin.register(Checkpoint, site=site)
class CheckpointAdmin(GatedAdmin[Checkpoint]):
    """Checkpoints, newest first: what was published, and who cosigned it."""

    to_view = Capability.LEDGER_READ
    place = 31
    list_display = ("signed_at", "size", "witnesses", "root_in_hex")
    sortable_by = ()
    list_display_links = ("signed_at",)
    ordering = ("-id",)
    fields = ("signed_at", "size", "root_in_hex", "published", "cosigned_by", "known_keys")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Checkpoint]:
        """With their cosignatures, in one query more."""
        return super().get_queryset(request).prefetch_related("cosignatures")

    def figures(self, request: HttpRequest) -> Sequence[Figure]:
        """How old the newest is."""
        del request
        newest = Checkpoint.objects.filter(origin=checkpoints.origin()).order_by("-id").first()
        address = reverse("admin:ledger_checkpoint_changelist")
        if newest is None:
            return [Figure("checkpoints of the ledger so far", "none", address)]
        age = timezone.now() - newest.signed_at
        is_late = age > timedelta(seconds=2 * settings.CHECKPOINT_IDLE_SECONDS)
        return [Figure("since the newest checkpoint", f"{max(0, round(age.total_seconds()))} s", address, is_late)]

    @admin.display(description="cosigned by")
    def witnesses(self, row: Checkpoint) -> str:
        """Their names."""
        return ", ".join(sorted({each.witness for each in row.cosignatures.all()})) or "nobody"

    @admin.display(description="root")
    def root_in_hex(self, row: Checkpoint) -> str:
        """As proofs have it."""
        return bytes(row.root).hex()

    @admin.display(description="as it was signed")
    def published(self, row: Checkpoint) -> str:
        """The note (C2SP signed-note), without cosignatures."""
        return bytes(row.note).decode()

    @admin.display(description="cosigned by")
    def cosigned_by(self, row: Checkpoint) -> str:
        """Each witness and when it signed, by its own clock."""
        lines = [f"{each.witness}, {each.cosigned_at:%Y-%m-%d %H:%M:%S}" for each in row.cosignatures.all()]
        return "\n".join(lines) or "Nobody."

    @admin.display(description="the ledger's keys, newest first")
    def known_keys(self, row: Checkpoint) -> str:
        """The vkeys that a verifier checks it with."""
        del row
        return "\n".join(checkpoints.vkeys())


def _witnesses(signed: checkpoints.Signed) -> str:
    names = ", ".join(sorted({name for name, _ in signed.cosigned}))
    return f"cosigned by {names}" if names else "cosigned by nobody"
