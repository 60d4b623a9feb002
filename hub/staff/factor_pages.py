"""The pages about second factors: asked for at sign-in and before something dangerous, enrolled, looked after."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from hub.refusal import Refusal
from hub.staff import factors, identities, sessions, sign_in, sign_on_pages, step_up, totp, webauthn
from hub.staff.factors import Kind
from hub.staff.models import SecurityKey
from hub.staff.verbs import ShownOnce
from hub.vault import keyring
from hub.vault.envelope import CannotOpen

_NEXT = "next"
_PENDING = "pending"  # the secret that an app is about to learn, sealed: in the form, not in the database


# ---------------------------------------------------------------- asked for
@never_cache
@csrf_protect
@sensitive_post_parameters(step_up.CODE, step_up.KEY)
@require_http_methods(["GET", "HEAD", "POST"])
def at_sign_in(request: HttpRequest) -> HttpResponse:
    """The second step of signing in."""
    at = timezone.now()
    half = sign_in.half_signed_in(request, at=at)
    if half is None or not factors.has_any(half.user):
        return HttpResponseRedirect(reverse("admin:login"))
    user = half.user
    if not step_up.is_proof_sent(request):
        return _asking(request, user, title="Second factor", action=request.path)
    try:
        kind = step_up.prove(request, user, at=at)
    except Refusal as refusal:
        return _asking(request, user, title="Second factor", action=request.path, wrong=refusal.detail)
    if kind is Kind.CODE:
        left = factors.of(user).codes_left
        messages.warning(request, f"That recovery code is used up; {left} are left. Add another factor if one is lost.")
    return sign_in.enter(request, user, kind, HttpResponseRedirect(half.onwards), by=half.by, at=at)


def ask(request: HttpRequest, *, wrong: str = "") -> HttpResponse:
    """The page before something dangerous: what was sent goes along, and is done once the second factor is right.

    Files do not go along; no door that needs step-up takes any.
    """
    assert isinstance(request.user, User)
    if request.method != "POST":
        sent: Mapping[str, list[str]] = {_NEXT: [request.get_full_path()]}
        action = reverse("admin:step_up")
    else:
        ours = {step_up.CODE, step_up.KEY, "csrfmiddlewaretoken"}
        sent = {name: given for name, given in request.POST.lists() if name not in ours}
        action = request.get_full_path()
    carried = [(name, one) for name, given in sent.items() for one in given]
    return _asking(request, request.user, title="Is it you?", action=action, carried=carried, wrong=wrong)


def stepped_up(request: HttpRequest) -> HttpResponse:
    """Back to where somebody was, once sessions.py found their second factor right."""
    onwards = request.POST.get(_NEXT, "")
    if not url_has_allowed_host_and_scheme(onwards, {request.get_host()}, require_https=request.is_secure()):
        onwards = reverse("admin:index")
    return HttpResponseRedirect(onwards)


def _asking(
    request: HttpRequest,
    user: User,
    *,
    title: str,
    action: str,
    carried: list[tuple[str, str]] | None = None,
    wrong: str = "",
) -> HttpResponse:
    credentials = [bytes(key.credential) for key in SecurityKey.objects.filter(user_id=user.pk)]
    options = ""
    if credentials and _keys_work_here(request):
        options, request.session[step_up.ASKED] = webauthn.ask_to_sign(credentials)
    context = {
        "title": title,
        "action": action,
        "carried": carried or [],
        "wrong": wrong,
        "options": options,
        "has_keys": bool(credentials),
        "keys_origin": webauthn.origin(),
        "code_name": step_up.CODE,
        "key_name": step_up.KEY,
        "is_again": request.user.is_authenticated,
        "minutes": settings.STEP_UP_MINUTES,
    }
    return _page(request, "staff/prove.html", context)


# ---------------------------------------------------------------- enrolled
@never_cache
@csrf_protect
@sensitive_post_parameters("code", "answer", _PENDING)
@require_http_methods(["GET", "HEAD", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """The first second factor of somebody who needs one to come in."""
    at = timezone.now()
    half = sign_in.half_signed_in(request, at=at)
    if half is None or factors.has_any(half.user):
        return HttpResponseRedirect(reverse("admin:login"))
    user = half.user

    def done(kind: Kind, codes: list[str]) -> HttpResponse:
        fresh = User.objects.get(pk=user.pk)
        page = _codes(request, codes, back=half.onwards)
        return sign_in.enter(request, fresh, kind, page, by=half.by, at=at)

    return _enrolling(request, user, done, title="Add a second factor", at=at)


def add(request: HttpRequest) -> HttpResponse:
    """Another factor, or the first of somebody who need not have one."""
    user, at = _myself(request), timezone.now()
    step_up.require_fresh(request)

    def done(kind: Kind, codes: list[str]) -> HttpResponse:
        sessions.go_on(request, user)
        step_up.note_proof(request, at=at)
        mine = reverse("admin:second_factors")
        if codes:
            return _codes(request, codes, back=mine)
        messages.success(request, f"Added: {'authenticator app' if kind is Kind.APP else 'security key'}.")
        return HttpResponseRedirect(mine)

    return _enrolling(request, user, done, title="Add a second factor", at=at)


def _enrolling(
    request: HttpRequest, user: User, done: Callable[[Kind, list[str]], HttpResponse], *, title: str, at: datetime
) -> HttpResponse:
    context: dict[str, Any] = {"title": title, "hub": settings.HUB_ID}
    secret = _pending(request, user)
    if request.method == "POST":
        given = request.POST
        try:
            if given.get("answer"):
                asked = request.session.pop(step_up.ASKED, {})
                return done(Kind.KEY, factors.add_key(user, given.get("name", ""), given["answer"], asked, at=at))
            return done(Kind.APP, factors.add_app(user, secret, given.get("code", ""), at=at))
        except Refusal as refusal:
            context["wrong"] = refusal.detail
    sealed = keyring.sealer("hub", "always").seal(secret, context=_context(user))
    context |= {
        "pending": base64.b64encode(sealed).decode(),
        "typed": totp.typed(secret),
        # Drawn by segno of our own words and base32: nothing in it comes from outside.
        "drawn": mark_safe(totp.drawn(totp.address(secret, account=user.username, hub=settings.HUB_ID))),  # noqa: S308
        "keys_origin": webauthn.origin(),
    }
    if _keys_work_here(request):
        known = [bytes(key.credential) for key in SecurityKey.objects.filter(user_id=user.pk)]
        handle = f"heliograph-{user.pk}".encode()
        context["options"], request.session[step_up.ASKED] = webauthn.ask_to_register(handle, user.username, known)
    return _page(request, "staff/enrol.html", context)


def _pending(request: HttpRequest, user: User) -> bytes:
    """The secret of the form that was sent, so that a typing error changes no QR code; else a new one."""
    try:
        sealed = base64.b64decode(request.POST.get(_PENDING, ""), validate=True)
        return keyring.open_sealed(sealed, context=_context(user))
    except (ValueError, CannotOpen):
        return totp.new_secret()


def _context(user: User) -> bytes:
    return f"staff.pending-authenticator:{user.pk}".encode()


# ---------------------------------------------------------------- looked after
def own(request: HttpRequest) -> HttpResponse:
    """One's own second factors, with the buttons to add and remove."""
    user = _myself(request)
    context = {
        "title": "Second factors",
        "factors": factors.of(user),
        "is_required": settings.SECOND_FACTOR == "required",
        "sign_on": sign_on_pages.provider_name(),
        "is_linked": identities.is_linked(user),
    }
    return _page(request, "staff/factors.html", context)


def remove(request: HttpRequest, which: str) -> HttpResponse:
    """Remove one's app (`app`) or one of one's keys (its number)."""
    user, at = _myself(request), timezone.now()
    if request.method != "POST" or not (which == "app" or which.isdecimal()):
        raise Http404
    step_up.require_fresh(request)
    try:
        if which == "app":
            factors.remove_app(user, at=at)
        else:
            factors.remove_key(user, int(which), at=at)
    except Refusal as refusal:
        messages.error(request, refusal.detail)
    else:
        sessions.go_on(request, user)
        messages.success(request, "Removed. Every other session of yours has ended.")
    return HttpResponseRedirect(reverse("admin:second_factors"))


def new_codes(request: HttpRequest) -> HttpResponse:
    """New recovery codes, shown once."""
    user, at = _myself(request), timezone.now()
    if request.method != "POST" or not factors.has_any(user):
        raise Http404
    step_up.require_fresh(request)
    codes = factors.renew_codes(user, at=at)
    sessions.go_on(request, user)
    return _codes(request, codes, back=reverse("admin:second_factors"))


def _codes(request: HttpRequest, codes: list[str], *, back: str) -> HttpResponse:
    sentence = (
        "Recovery codes, each for one time, if you lose your second factor. They are shown once and kept nowhere: "
        "print them, or put them into a safe. They replace any earlier ones."
    )
    context = {"title": "Recovery codes", "answer": ShownOnce(sentence, "\n".join(codes)), "back": back}
    return _page(request, "staff/shown_once.html", context)


def _myself(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _keys_work_here(request: HttpRequest) -> bool:
    """Whether the page came from the one origin at which browsers let keys answer."""
    return webauthn.origin() == f"{request.scheme}://{request.get_host()}"


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    from hub.staff.site import site

    page = TemplateResponse(request, template, {**site.each_context(request), **context})
    add_never_cache_headers(page)
    return page.render()
