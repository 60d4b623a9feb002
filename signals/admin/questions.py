"""Compliance staff's questions, read-only: who received what, what people were shown, what is due to be erased."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from hub.ledger.actions import ACTIONS
from hub.ledger.models import Reading
from hub.staff.roles import Capability, require
from hub.staff.site import site
from hub.staff.step_up import require_fresh
from partners import public
from signals.admin.lists import ByPartner, ByProgramme, ListOnly, beside, short
from signals.admin.page_of_signal import channel_shown
from signals.compliance import overview, recipients
from signals.compliance.minutes import disclosures_of, is_whole
from signals.lifecycle.activity import Activity, counted
from signals.models import DisclosedMinute

_AT_ONCE = 20  # signals that a page tells of
_MOST_SHOWN = 100  # lines of recipients on a page; the file has them all
Cell = tuple[object, str]  # what it says, and where it leads ("" for nowhere)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of an answer."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class Asked(forms.Form):
    """Which signals, and since when."""

    signals = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"}),
        help_text="Ids of signals, apart by spaces or lines; or leave it empty and name an issuer.",
    )
    issuer = forms.CharField(required=False, max_length=40, help_text="All that a partner said, by its slug…")
    kid = forms.CharField(required=False, max_length=64, help_text="…and of that only what this key signed.")
    since = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="Handed out at or after this moment (UTC).",
    )
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)

    def clean_signals(self) -> list[UUID]:
        """The ids."""
        try:
            ids = list({UUID(word): None for word in self.cleaned_data["signals"].split()})
        except ValueError:
            raise forms.ValidationError("One of these is no id of a signal.") from None
        if len(ids) > recipients.MOST:
            raise forms.ValidationError(f"These are {len(ids):,}; ask for at most {recipients.MOST:,} at once.")
        return ids

    def clean_issuer(self) -> int | None:
        """The partner's id."""
        slug = self.cleaned_data["issuer"]
        found = public.partners_by_slug([slug]).get(slug)
        if slug and found is None:
            raise forms.ValidationError("There is no such partner.")
        return found.id if found is not None else None

    def clean(self) -> dict[str, Any]:
        """Nothing that would be passed over: of a question that means nothing, nobody would have received anything."""
        asked = super().clean() or {}
        if self.errors:
            return asked
        if asked["signals"] and (asked["issuer"] is not None or asked["kid"]):
            raise forms.ValidationError("Name signals by their ids, or an issuer and its key: not both.")
        if not asked["signals"] and asked["issuer"] is None:
            raise forms.ValidationError("Name signals by their ids, or an issuer.")
        if asked["kid"]:
            key = public.signing_keys([asked["kid"]]).get(asked["kid"])
            if key is None or key.partner_id != asked["issuer"]:
                self.add_error("kid", "The issuer has no such key.")
        return asked

    def answer(self, *, most: int) -> Answer:
        """Of at most so many signals what was asked for."""
        asked = self.cleaned_data
        ids, older, unknown = list(asked["signals"]), None, []
        if ids:
            unknown = recipients.unknown(ids)
        else:
            chosen = {"kid": asked["kid"], "before": asked["before"]}
            ids, older = recipients.signals_of(asked["issuer"], **chosen, most=most)
        found = recipients.report(ids[:most], since=asked["since"])
        return Answer(found, left_out=len(ids[most:]), older=older, unknown=unknown)


@dataclass(frozen=True, slots=True)
class Answer:
    """Who received some signals, and what of the question it leaves for the file or for the next page."""

    report: recipients.Report
    left_out: int  # of signals that were named
    older: int | None  # what to ask for next
    unknown: Sequence[UUID]  # of those that were named

    @property
    def warned(self) -> str:
        """That what was named is no signal: it is no answer that nobody received it."""
        if not self.unknown:
            return ""
        more = f" and {len(self.unknown) - _AT_ONCE:,} more" if len(self.unknown) > _AT_ONCE else ""
        return f"No signal of this hub has the id {', '.join(map(str, self.unknown[:_AT_ONCE]))}{more}."

    @property
    def said(self) -> str:
        """What it tells of and what not."""
        if self.left_out:
            return f"The page tells of the first {_AT_ONCE} signals; the file has the {self.left_out:,} others, too."
        if self.older is not None:
            many = len(self.report.signal_ids)
            return f"A page tells of {many} signals, the newest first; the file, of {recipients.MOST:,} from here on."
        return ""


@admin.register(DisclosedMinute, site=site)
class Questions(ListOnly[DisclosedMinute]):
    """What was disclosed, minute by minute as leaves commit to it, with the way to every question."""

    to_view = Capability.COMPLIANCE_ASK
    place = 5
    called = "Compliance: who received what"
    list_display = ("minute", "partner", "programme", "channel_shown", "pages")
    list_filter = (ByPartner, ByProgramme)
    ordering = ("-minute",)
    fields = ()
    change_list_template = "signals/questions.html"
    change_form_template = "signals/minute.html"

    def get_urls(self) -> list[URLPattern]:
        """The questions, ahead of what takes anything."""
        questions: dict[str, Callable[[HttpRequest], HttpResponse]] = {
            "recipients": self._recipients,
            "report": self._report,
            "shown": self._shown,
            "retention": self._retention,
            "partner": self._partner,
        }
        view = self.admin_site.admin_view
        return [
            *(path(f"{name}/", view(ask), name=f"signals_disclosedminute_{name}") for name, ask in questions.items()),
            *super().get_urls(),
        ]

    def beside(self, rows: list[DisclosedMinute]) -> dict[Any, tuple[str, str]]:
        """Partner and programme by name."""
        partners, programmes = public.slugs({row.partner_id for row in rows}), public.programme_slugs()
        return {row.pk: (partners[row.partner_id], programmes.get(row.programme_id or 0, "notices")) for row in rows}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One minute: its disclosures, and whether they still have the root that the leaf states."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        context: dict[str, Any] = {"title": "A minute of disclosures", **(extra_context or {})}
        if row is not None:
            # There is one. In the order of leaves, PostgreSQL would look for it through all of them.
            named = Reading.objects.filter(subjects__contains=[f"disclosures:{row.pk}"]).defer("entry").order_by()
            leaf = next(iter(named), None)
            partner, programme = self.beside([row])[row.pk]
            context |= {"partner": partner, "programme": programme, "leaf": leaf, "root": bytes(row.root).hex()}
            context |= {"is_whole": is_whole(row), "disclosures": disclosures_of(row)}
        return super().change_view(request, object_id, form_url, context)

    def _recipients(self, request: HttpRequest) -> HttpResponse:
        self._asks(request)
        form = Asked(request.GET or None)
        found = form.answer(most=_AT_ONCE) if form.is_bound and form.is_valid() else None
        tables = [] if found is None else [_lines(found.report), _each(found.report)]
        file = f"{reverse('admin:signals_disclosedminute_report')}?{request.GET.urlencode()}" if found else ""
        sentence = (
            "From the record of what was sent, never from how far a reader says it is. “Possibly” is everybody who "
            "could have read in a time whose record was lost with a restored backup. That somebody was handed a value "
            "says nothing of whether a person has seen it."
        )
        return self._answer(request, "Who received it", sentence, tables, form=form, file=file, found=found)

    def _report(self, request: HttpRequest) -> HttpResponse:
        self._asks(request)
        require_fresh(request)  # it is an export
        form = Asked(request.GET or None)
        found = form.answer(most=recipients.MOST) if form.is_bound and form.is_valid() else None
        if found is None:
            raise Http404
        answer = HttpResponse(recipients.as_csv(found.report), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="recipients.csv"'
        add_never_cache_headers(answer)
        return answer

    def _shown(self, request: HttpRequest) -> HttpResponse:
        self._asks(request)
        who = request.GET.get("staff", "")
        names = dict(User.objects.filter(is_staff=True).order_by("username").values_list("pk", "username"))
        found = overview.shown_to_people(staff_id=int(who) if who.isdecimal() else None)
        rows = [_shown_row(each, names) for each in found]
        choices = [("everybody", "?"), *((name, f"?staff={pk}") for pk, name in names.items())] if names else []
        whom = names.get(int(who), "") if who.isdecimal() else ""
        sentence = (
            f"From leaves of the ledger: the newest {overview.MOST}. What was searched for is not written down; what "
            "was revealed is named by its signal."
        )
        heads = ("When", "What", "Who", "Signal", "Leaf")
        title = f"What {whom or 'people'} {'was' if whom else 'were'} shown"
        return self._answer(request, title, sentence, [Table("Shown", heads, rows)], choices=choices)

    def _retention(self, request: HttpRequest) -> HttpResponse:
        self._asks(request)
        found = counted(Activity.RETENTION, at=(now := timezone.now()))
        heads = (
            *("Programme", "Served or waiting", "Ends within 30 days", "Overdue to expire"),
            *("Removed, not yet erased", "Overdue to be erased", "Under legal hold", "Erased"),
        )
        rows = [
            [
                (each.programme, ""),
                *((number, "") for number in (each.live, each.ends_soon, each.not_expired, each.to_purge)),
                *((number, "") for number in (each.not_purged, each.held, each.purged)),
            ]
            for each in overview.retention(row[:-1] for row in found.rows)
        ]
        held = [[_signal(row.id), (row.state, ""), (row.expires_at, "")] for row in overview.holds()]
        sentence = "Both overdue columns are 0 where workers run. A legal hold keeps a signal whatever its time."
        title = ", ".join(filter(None, ("By programme", found.ahead(now))))
        tables = [Table(title, heads, rows), Table("Under legal hold", ("Signal", "State", "Until"), held)]
        return self._answer(request, "Retention", sentence, tables)

    def _partner(self, request: HttpRequest) -> HttpResponse:
        self._asks(request)
        slug = request.GET.get("slug", "")
        now = timezone.now()
        found = overview.about(slug, at=now) if slug else None
        partners = [[(each, f"?slug={each}")] for each in sorted(public.partner_slugs().values())]
        if found is None:
            tables = [Table("Partners", ("Partner",), partners)]
            return self._answer(request, "Everything about a partner", "Choose one.", tables)
        issued = counted(Activity.ISSUED, at=now)
        signals = [(state, many) for issuer_id, state, many, _ in issued.rows if issuer_id == found.partner.id]
        when = f", {issued.ahead(now)}" if issued.ahead(now) else ""
        facts: list[list[Cell]] = [
            [("Name", ""), (found.partner.name, "")],
            [("State", ""), (found.partner.state, "")],
            [("On probation", ""), (_yes(found.partner.is_probationary), "")],
            [("Items it was sent in 30 days", ""), (found.disclosed, "")],
            *([(f"Signals {state}{when}", ""), (many, "")] for state, many in signals),
            *([(f"Endpoints {state}", ""), (many, "")] for state, many in found.endpoints.items()),
        ]
        member = [
            [(each.programme_slug, ""), (each.state, ""), (_yes(each.may_submit), ""), (_yes(each.may_receive), "")]
            for each in found.memberships
        ]
        leaves = [[(row.at, ""), (_meaning(row.action), ""), (row.actor, ""), _leaf(row.index)] for row in found.leaves]
        tables = [
            Table("Facts", ("What", "Is"), facts),
            Table("Memberships", ("Programme", "State", "May submit", "May receive"), member),
            Table(f"The newest {overview.MOST} leaves that mention it", ("When", "What", "Who", "Leaf"), leaves),
        ]
        return self._answer(request, f"Everything about {slug}", "As it stands now, and what the ledger says.", tables)

    def _asks(self, request: HttpRequest) -> User:
        return require(request.user, self.to_view)

    def _answer(
        self,
        request: HttpRequest,
        title: str,
        sentence: str,
        tables: Sequence[Table],
        *,
        form: forms.Form | None = None,
        file: str = "",
        choices: Sequence[Cell] = (),
        found: Answer | None = None,
    ) -> HttpResponse:
        require(request.user, self.to_view)
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        answers: dict[str, Any] = {"sentence": sentence, "tables": tables, "choices": choices}
        answers |= {"form": form, "file": file, "found": found}
        if found is not None and found.older is not None:
            older = request.GET.copy()
            older["before"] = str(found.older)
            answers["older"] = f"?{older.urlencode()}"
        answer = TemplateResponse(request, "signals/answer.html", {**context, **answers})
        add_never_cache_headers(answer)
        return answer

    @admin.display(description="Partner")
    def partner(self, minute: DisclosedMinute) -> str:
        """By slug."""
        return str(beside(minute)[0])

    @admin.display(description="Programme")
    def programme(self, minute: DisclosedMinute) -> str:
        """By slug; or notices."""
        return str(beside(minute)[1])

    @admin.display(description="Channel")
    def channel_shown(self, minute: DisclosedMinute) -> str:
        """For people."""
        return channel_shown(minute.channel)

    @admin.display(description="Pages and bodies")
    def pages(self, minute: DisclosedMinute) -> int:
        """How many."""
        return len(minute.disclosure_ids)


def _lines(report: recipients.Report) -> Table:
    rows = [
        [
            *((cell, "") for cell in (line.partner, channel_shown(line.channel), line.signals, line.possibly)),
            *((cell, "") for cell in (_when(line.first_at), _when(line.last_at))),
        ]
        for line in report.lines
    ]
    title = f"{len(report.lines)} channels received some of {len(report.signal_ids)} signals"
    return Table(title, ("Partner", "Channel", "Signals", "Possibly besides", "First handed", "Last handed"), rows)


def _each(report: recipients.Report) -> Table:
    rows = [
        [
            *((each.partner, ""), (channel_shown(each.channel), ""), (each.programme, "")),
            *(_signal(each.signal_id), (each.revision or "—", ""), (_when(each.at) if each.at else "possibly", "")),
        ]
        for each in report.recipients[:_MOST_SHOWN]
    ]
    heads = ("Partner", "Channel", "Programme", "Signal", "Revision", "First handed")
    return Table(f"Each revision ({len(rows)} of {len(report.recipients)})", heads, rows)


def _shown_row(each: overview.Shown, names: dict[int, str]) -> list[Cell]:
    number = each.actor.removeprefix("staff:")
    who = names.get(int(number), each.actor) if number.isdecimal() else each.actor
    signal: Cell = _signal(each.signal_id) if each.signal_id is not None else ("—", "")
    return [(each.at, ""), (_meaning(each.action), ""), (who, ""), signal, _leaf(each.index)]


def _signal(signal_id: UUID) -> Cell:
    return short(signal_id), reverse("admin:signals_signal_change", args=[signal_id])


def _leaf(index: int) -> Cell:
    return index, reverse("admin:ledger_reading_change", args=[index])


def _meaning(action: str) -> str:
    return ACTIONS[action].meaning if action in ACTIONS else action


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _when(at: datetime | None) -> object:
    return at or "—"
