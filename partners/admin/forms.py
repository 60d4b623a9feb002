"""What an operator fills in before a verb is called."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django import forms

from hub.staff.second_person import Why
from partners.core.accountability import LONGEST, Accountability, LawfulBasis
from partners.core.programmes import PRESETS, OnLeaving, ProgrammeSettings
from partners.core.scopes import MEANINGS, ORDINARY, Scope
from partners.lifecycle.begin_membership import Terms
from partners.models import Membership, Partner, Programme

_SCOPES = [(scope.value, f"{scope}: {meaning}") for scope, meaning in MEANINGS.items()]


class Enrol(forms.Form):
    """A new partner."""

    slug = forms.CharField(help_text="How statements name it, for ever: a-z, 0-9, hyphens.")
    name = forms.CharField(help_text="How people name it.")


class Rename(forms.Form):
    """Another name."""

    name = forms.CharField()


class Limits(forms.Form):
    """A partner's own limits, whole."""

    requests_per_second = forms.IntegerField(
        min_value=1, required=False, help_text="Of each kind (submit, read, manage). Empty: as everybody."
    )
    statements_per_second = forms.IntegerField(
        min_value=1, required=False, help_text="Handed in; their bytes and what comes at once in proportion."
    )
    max_pending_submissions = forms.IntegerField(
        min_value=1, required=False, help_text="Waiting to be verified; their bytes in proportion."
    )

    @staticmethod
    def of(partner: Partner) -> dict[str, Any]:
        """The limits as they stand."""
        return {name: getattr(partner, name) for name in Limits.base_fields}


class Found(forms.Form):
    """A new programme."""

    slug = forms.CharField(help_text="How statements name it, for ever: a-z, 0-9, hyphens.")
    name = forms.CharField(help_text="How people name it.")
    preset = forms.ChoiceField(choices=[(name, name) for name in PRESETS], help_text="Change anything afterwards.")


class IfMore(forms.Form):
    """The reason that is asked for only where somebody comes to see more by it, which a second person decides."""

    reason = forms.CharField(
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Only where somebody comes to receive by it what they do not receive now: a second person decides "
        "then, and reads this as it stands. No names and no values.",
    )


class Words(forms.CharField):
    """Words in a text area, apart by spaces, commas or new lines."""

    widget = forms.Textarea

    def to_python(self, value: str | None) -> list[str]:  # type: ignore[override]  # a list is what the verb takes
        """The words in order."""
        return (value or "").replace(",", " ").split()

    def prepare_value(self, value: Any) -> Any:  # noqa: ANN401  Django's own signature
        """One a line."""
        return "\n".join(value) if isinstance(value, list) else value


class Settings(IfMore):
    """A programme's settings, whole."""

    name = forms.CharField()
    violations = Words(help_text="Lower-case words with hyphens, one a line.")
    indicator_types = Words(help_text="One a line.")
    retention_days = forms.JSONField(help_text='Days per indicator type; "*" for the others.')
    gates = forms.JSONField(required=False, help_text="What is held for a person.")
    agreement_version = forms.IntegerField(
        min_value=0, max_value=10_000, help_text="Members who signed an older agreement neither submit nor receive."
    )
    is_training_required = forms.BooleanField(required=False)
    on_leaving = forms.ChoiceField(
        choices=[(each.value, each.value) for each in OnLeaving],
        label="When a member leaves, its signals are",
        help_text="Kept until they expire, or withdrawn at once. Counts for whoever leaves from now on.",
    )
    field_order = (
        *("name", "violations", "indicator_types", "retention_days", "gates", "agreement_version"),
        *("is_training_required", "on_leaving", "reason"),
    )

    @staticmethod
    def of(programme: Programme) -> dict[str, Any]:
        """The settings as they stand."""
        return {
            "name": programme.name,
            "violations": programme.violations,
            "indicator_types": programme.indicator_types,
            "retention_days": programme.retention_days,
            "gates": programme.gates,
            "agreement_version": programme.agreement_version,
            "is_training_required": programme.is_training_required,
            "on_leaving": programme.on_leaving,
        }

    def clean_retention_days(self) -> dict[str, int]:
        """An object; the verb looks inside."""
        return _an_object(self.cleaned_data["retention_days"])

    def clean_gates(self) -> dict[str, object]:
        """An object; the verb looks inside."""
        return _an_object(self.cleaned_data["gates"] or {})


def settings_from(given: dict[str, Any]) -> ProgrammeSettings:
    """What the Settings form said, for the verb."""
    return ProgrammeSettings(
        violations=tuple(given["violations"]),
        indicator_types=tuple(given["indicator_types"]),
        retention_days=given["retention_days"],
        gates=given["gates"],
        agreement_version=given["agreement_version"],
        is_training_required=given["is_training_required"],
        on_leaving=given["on_leaving"],
    )


class MemberTerms(forms.Form):
    """What a member may do, and its papers."""

    may_submit = forms.BooleanField(required=False, initial=True)
    may_receive = forms.BooleanField(required=False, initial=True)
    agreement_version = forms.IntegerField(min_value=0, max_value=10_000, initial=0, help_text="What it has signed.")
    training_valid_until = forms.DateField(
        required=False, widget=forms.DateInput(attrs={"type": "date"}), help_text="The last day it counts."
    )

    @staticmethod
    def of(membership: Membership) -> dict[str, Any]:
        """The terms as they stand."""
        return {
            "may_submit": membership.may_submit,
            "may_receive": membership.may_receive,
            "agreement_version": membership.agreement_version,
            "training_valid_until": membership.training_valid_until,
        }


def terms_from(given: dict[str, Any]) -> Terms:
    """What a form with terms said, for the verb."""
    return Terms(given["may_submit"], given["may_receive"], given["agreement_version"], given["training_valid_until"])


class Answering(forms.Form):
    """Who answers for a member, on which ground it handles signals, and where."""

    controller = forms.CharField(
        required=False, max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 3}), help_text="Name and address."
    )
    legal_contact = forms.CharField(required=False, max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 2}))
    security_contact = forms.CharField(
        required=False, max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 2}), help_text="Reached at any hour."
    )
    lawful_basis = forms.ChoiceField(
        required=False, choices=[(basis.value, basis.value or "not stated") for basis in LawfulBasis]
    )
    jurisdictions = forms.CharField(
        required=False, max_length=400, help_text="Codes of ISO 3166, apart by spaces, such as DE US-CA."
    )

    @staticmethod
    def of(membership: Membership) -> dict[str, Any]:
        """What is written down now."""
        return {
            "controller": membership.controller,
            "legal_contact": membership.legal_contact,
            "security_contact": membership.security_contact,
            "lawful_basis": membership.lawful_basis,
            "jurisdictions": " ".join(membership.jurisdictions),
        }


def accountability_from(given: dict[str, Any]) -> Accountability:
    """What that form said, for the verb."""
    contacts = given["controller"], given["legal_contact"], given["security_contact"]
    return Accountability(*contacts, LawfulBasis(given["lawful_basis"]), tuple(given["jurisdictions"].split()))


class Join(MemberTerms, Why):
    """A programme to join, on which terms, and why."""

    programme = forms.ModelChoiceField(Programme.objects.order_by("slug"), to_field_name="slug")
    field_order = ("programme", *MemberTerms.base_fields, "reason")


class OtherTerms(MemberTerms, IfMore):
    """Other terms, and why where a second person must agree."""

    field_order = (*MemberTerms.base_fields, "reason")


class Unrepeated(forms.Textarea):
    """A text area that comes back empty after a mistake."""

    def format_value(self, value: object) -> None:
        """Nothing."""


class Propose(forms.Form):
    """A public key as the partner sent it."""

    jwk = forms.CharField(widget=Unrepeated(attrs={"spellcheck": "false"}), help_text="A public JWK, Ed25519 or P-256.")

    def clean_jwk(self) -> object:
        """Any JSON; the verb looks inside. What was sent is never repeated: it may hold a private key by mistake."""
        try:
            jwk: object = json.loads(self.cleaned_data["jwk"])
        except (ValueError, RecursionError):
            raise forms.ValidationError("This is not JSON.") from None
        return jwk


class Compared(forms.Form):
    """The one check no machine can make."""

    is_compared = forms.BooleanField(
        label="I have compared the fingerprint by voice with somebody at the partner whom I know"
    )


class Issue(forms.Form):
    """What an API key is for."""

    scopes = forms.MultipleChoiceField(
        choices=_SCOPES,
        widget=forms.CheckboxSelectMultiple,
        initial=[str(scope) for scope in Scope if scope in ORDINARY],
    )
    networks = Words(required=False, help_text="CIDRs it may come from, one a line; none: anywhere.")
    days = forms.IntegerField(min_value=1, max_value=3650, required=False, help_text="Empty: until it is revoked.")
    label = forms.CharField(required=False, help_text="A word for people.")


class Roll(forms.Form):
    """How long the old key goes on."""

    hours = forms.IntegerField(
        min_value=0, max_value=30 * 24, initial=24, help_text="The old key works so much longer."
    )

    @staticmethod
    def overlap(given: dict[str, Any]) -> timedelta:
        """The time both keys work."""
        return timedelta(hours=given["hours"])


def _an_object(given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise forms.ValidationError("This is not a JSON object.")
    return given
