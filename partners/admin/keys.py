"""Signing keys and API keys in the admin: fingerprints to compare, activation, retirement, rolling, revoking.

That a signing key was compromised is proposed on signals' own page: it quarantines what the key signed.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hub.staff.roles import Capability, has
from hub.staff.site import site
from hub.staff.verbs import RowVerb, ShownOnce, VerbAdmin, Who
from partners.admin import forms
from partners.core import keys
from partners.core.states import KeyState
from partners.lifecycle.activate_key import activate_key
from partners.lifecycle.retire_key import retire_key
from partners.lifecycle.revoke_api_key import revoke_api_key
from partners.lifecycle.roll_api_key import roll_api_key
from partners.models import ApiKey, SigningKey

_MANAGE = Capability.KEYS_MANAGE


def _activate(key: SigningKey, _given: dict[str, Any], who: Who) -> str:
    activate_key(key.kid, partner_slug=key.partner.slug, **who)
    return f"Key {key.kid} of {key.partner.slug} is active."


def _retire(key: SigningKey, _given: dict[str, Any], who: Who) -> str:
    retire_key(key.kid, partner_slug=key.partner.slug, **who)
    return f"Key {key.kid} of {key.partner.slug} is retired."


def _revoke(key: ApiKey, _given: dict[str, Any], who: Who) -> str:
    revoke_api_key(key.pk, partner_slug=key.partner.slug, **who)
    return f"API key {key.pk} of {key.partner.slug} is revoked."


def _roll(key: ApiKey, given: dict[str, Any], who: Who) -> ShownOnce:
    slug, overlap = key.partner.slug, forms.Roll.overlap(given)
    issued = roll_api_key(key.pk, partner_slug=slug, asked_with=None, old_expires_in=overlap, **who)
    return ShownOnce(f"API key {issued.row.pk} of {slug} replaces {key.pk}. This is shown once.", issued.token)


@admin.register(SigningKey, site=site)
class SigningKeyAdmin(VerbAdmin[SigningKey]):
    """Partners' public keys."""

    to_view = Capability.PARTNERS_VIEW
    place = 14
    list_display = ("kid", "partner", "state", "activated_at", "retired_at", "revoked_at")
    list_filter = ("state", "partner")
    list_select_related = ("partner",)
    search_fields = ("kid",)
    ordering = ("-proposed_at",)
    fields = (
        *("partner", "kid", "fingerprint", "jwk", "state", "proposed_at", "activated_at", "endorsed_by"),
        *("approved_by", "retired_at", "revoked_at", "compromised_at"),
    )
    readonly_fields = ("fingerprint", "if_compromised")
    row_verbs = (
        RowVerb(
            "activate",
            "Activate",
            _MANAGE,
            "For a partner's first key, or after it lost all others. Any other key it endorses itself.",
            _activate,
            forms.Compared,
            is_offered=lambda key: key.state == KeyState.PROPOSED,
        ),
        RowVerb(
            "retire",
            "Retire",
            _MANAGE,
            "For a key that nobody else ever held: what the hub received under it before stays good.",
            _retire,
            is_offered=lambda key: key.state in (KeyState.PROPOSED, KeyState.ACTIVE),
        ),
    )

    def get_fields(self, request: HttpRequest, obj: SigningKey | None = None) -> list[Any]:
        """The facts; and for who manages keys, what to do when one is in other hands."""
        may = obj is not None and obj.state != KeyState.REVOKED and has(request.user, _MANAGE)
        return [*super().get_fields(request, obj), *(["if_compromised"] if may else [])]

    @admin.display(description="If compromised")
    def if_compromised(self, key: SigningKey) -> SafeString:
        """The way to signals' page, which hides what was received under it."""
        address = reverse("admin:signals_distrust_list_verb", args=["revoke"])
        return format_html('<a href="{}?kid={}">Propose that it was compromised</a>', address, key.kid)

    @admin.display(description="Fingerprint")
    def fingerprint(self, key: SigningKey) -> str:
        """The thumbprint in hexadecimal, to compare by voice."""
        return keys.fingerprint(key.kid)


@admin.register(ApiKey, site=site)
class ApiKeyAdmin(VerbAdmin[ApiKey]):
    """Partners' bearer credentials. They are issued on the partner's page."""

    to_view = Capability.PARTNERS_VIEW
    place, called = 15, "API keys"
    list_display = ("id", "partner", "label", "issued_at", "expires_at", "last_used_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "partner")
    list_select_related = ("partner",)
    search_fields = ("id", "label")
    ordering = ("-issued_at",)
    fields = (
        *("id", "partner", "label", "scopes", "networks", "issued_at", "expires_at", "last_used_at", "revoked_at"),
        "rolled_from",
    )
    row_verbs = (
        RowVerb(
            "roll",
            "Roll",
            _MANAGE,
            "A new key that may do the same; its token is shown once, on the next page.",
            _roll,
            forms.Roll,
            is_offered=lambda key: key.revoked_at is None,
        ),
        RowVerb(
            "revoke",
            "Revoke",
            _MANAGE,
            "It opens no door from now on.",
            _revoke,
            is_offered=lambda key: key.revoked_at is None,
        ),
    )
