"""The pages of single sign-on: out to the identity provider, back from it, and linking one's own identity."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from hub.refusal import Refusal
from hub.staff import failures, identities, provider, sessions, sign_in, step_up
from hub.staff.provider import Asked, Identity, NotBelieved, SaidNo
from hub.staff.provider_wire import ProviderAway

logger = logging.getLogger(__name__)

_COOKIE = "heliograph_sign_on"  # what this browser asked; signed, and read by nobody else
_PATH = "/admin/sign-on/"
_LASTS = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Errand:
    """Why a browser was sent to the provider."""

    state: str
    nonce: str
    verifier: str
    onwards: str
    links: int | None  # the account that its identity is to open; None where somebody wants to come in

    @property
    def asked(self) -> Asked:
        """What the provider was asked with."""
        return Asked(self.state, self.nonce, self.verifier)


def provider_name() -> str:
    """What people know the provider by, its host; empty where there is no single sign-on."""
    return urlsplit(settings.OIDC_ISSUER).hostname or ""


@never_cache
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def begin(request: HttpRequest) -> HttpResponse:
    """From the sign-in form to the provider."""
    _only_where_there_is_one()
    if request.method != "POST":
        return HttpResponseRedirect(reverse("admin:login"))
    onwards = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(onwards, {request.get_host()}, require_https=request.is_secure()):
        onwards = reverse("admin:index")
    return _sent_out(request, onwards=onwards, links=None)


def link(request: HttpRequest) -> HttpResponse:
    """From one's own page to the provider, to say which identity opens this account from now on."""
    _only_where_there_is_one()
    if request.method != "POST":
        raise Http404
    step_up.require_fresh(request)
    assert isinstance(request.user, User)
    return _sent_out(request, onwards=reverse("admin:second_factors"), links=request.user.pk)


def unlink(request: HttpRequest) -> HttpResponse:
    """Let no identity open one's own account."""
    if request.method != "POST":
        raise Http404
    step_up.require_fresh(request)
    assert isinstance(request.user, User)
    identities.unlink(request.user, actor=f"staff:{request.user.pk}", at=timezone.now())
    sessions.go_on(request, request.user)
    messages.success(request, "Unlinked. Every other session of yours has ended.")
    return HttpResponseRedirect(reverse("admin:second_factors"))


@never_cache
@require_http_methods(["GET"])
def back(request: HttpRequest) -> HttpResponse:
    """From the provider, with what proves who came; the cookie says that it was this browser that asked."""
    _only_where_there_is_one()
    errand = _errand(request)
    if errand is None or (errand.links is not None and errand.links != request.user.pk):
        return _said(request, "This was not begun in this browser, or too long ago. Begin again.", status=400)
    answer = _brought(request, errand, at=timezone.now())
    answer.delete_cookie(_COOKIE, path=_PATH, samesite="Lax")
    return answer


@never_cache
@require_http_methods(["GET", "HEAD"])
def out(request: HttpRequest) -> HttpResponse:
    """To the provider's own page for signing out there (RP-Initiated Logout 1.0), for whoever has signed out here."""
    _only_where_there_is_one()
    here = settings.PUBLIC_URL + reverse("admin:login")
    try:
        there = provider.described().end_session_endpoint
    except ProviderAway as away:
        return _away(request, away)
    if not there:
        return _said(request, f"{provider_name()} has no page to sign out by; end your session there yourself.")
    asked = urlencode({"client_id": settings.OIDC_CLIENT_ID, "post_logout_redirect_uri": here})
    return HttpResponseRedirect(f"{there}{'&' if '?' in there else '?'}{asked}")


def _brought(request: HttpRequest, errand: Errand, *, at: datetime) -> HttpResponse:
    """What becomes of the provider's answer; counted as an attempt until it proved right."""
    counted = failures.of_sign_on(request)
    if not failures.may_try(counted, at=at):
        sentence = f"Too many failures to sign in. Try again in {settings.LOCK_MINUTES} minutes."
        return _said(request, sentence, status=HTTPStatus.TOO_MANY_REQUESTS)
    try:
        identity = provider.identity(errand.asked, request.GET.dict(), back=_back(), at=at)
    except (ProviderAway, SaidNo) as refusal:  # nobody's failure: a bad day there, or a change of mind
        failures.was_right(counted, at=at)
        return _away(request, refusal) if isinstance(refusal, ProviderAway) else _said(request, refusal.detail)
    except NotBelieved as refusal:
        logger.warning("staff.sign-on-not-believed", extra={"reason": refusal.reason})
        sign_in.count_failure_of(None, at=at)
        return _said(request, refusal.detail)
    if errand.links is not None:
        failures.was_right(counted, at=at)
        return _linked(request, identity, at=at)
    user = identities.person_of(identity)
    if user is None:
        sign_in.count_failure_of(None, at=at)
        sentence = "No account of this hub is linked to you there. Sign in by password, and link it on your own page."
        return _said(request, sentence)
    failures.was_right(counted, at=at)
    is_spared = identities.spares_second_factor(identity)
    return sign_in.arrive(request, user, errand.onwards, by=sign_in.Way.SIGN_ON, is_spared=is_spared, at=at)


def _linked(request: HttpRequest, identity: Identity, *, at: datetime) -> HttpResponse:
    assert isinstance(request.user, User)
    try:
        identities.link(request.user, identity, at=at)
    except Refusal as refusal:
        messages.error(request, refusal.detail)
    else:
        sessions.go_on(request, request.user)
        messages.success(request, f"Linked: {provider_name()} opens your account. Your other sessions have ended.")
    return HttpResponseRedirect(reverse("admin:second_factors"))


def _sent_out(request: HttpRequest, *, onwards: str, links: int | None) -> HttpResponse:
    """A page that goes on by itself: browsers hold a form's redirects to `form-action`, which knows no other house."""
    asked = Asked.anew()
    try:
        there = provider.address_to_ask(asked, back=_back(), prompt="login" if links is not None else None)
    except ProviderAway as away:
        return _away(request, away)
    errand = Errand(asked.state, asked.nonce, asked.verifier, onwards, links)
    page = _page(request, "staff/going_out.html", {"title": f"On to {provider_name()}", "there": there})
    page.set_cookie(
        _COOKIE,
        signing.dumps(asdict(errand), salt=_COOKIE),
        max_age=_LASTS,
        path=_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return page


def _errand(request: HttpRequest) -> Errand | None:
    try:
        return Errand(**signing.loads(request.COOKIES.get(_COOKIE, ""), salt=_COOKIE, max_age=_LASTS))
    except (signing.BadSignature, TypeError):
        return None


def _only_where_there_is_one() -> None:
    if not settings.OIDC_ISSUER:
        raise Http404


def _back() -> str:
    return settings.PUBLIC_URL + reverse("admin:sign_on_back")


def _away(request: HttpRequest, away: ProviderAway) -> HttpResponse:
    logger.warning("staff.sign-on-unavailable", extra={"reason": away.reason})
    return _said(request, away.detail, status=HTTPStatus.SERVICE_UNAVAILABLE)


def _said(request: HttpRequest, sentence: str, *, status: int = HTTPStatus.FORBIDDEN) -> HttpResponse:
    context = {"title": "Single sign-on", "sentence": sentence, "is_in": request.user.is_authenticated}
    return _page(request, "staff/sign_on.html", context, status=status)


def _page(request: HttpRequest, template: str, context: dict[str, object], *, status: int = 200) -> HttpResponse:
    from hub.staff.site import site

    page = TemplateResponse(request, template, {**site.each_context(request), **context}, status=status)
    add_never_cache_headers(page)
    return page.render()
