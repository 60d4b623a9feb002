"""The one page for people who have nothing but a reference: how the appeal stands that was made for them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from partners.api.view import RateLimited, charge_stranger
from signals.cases import appeals
from signals.core.refusals import NotFound

_IN_WORDS = {
    "in-review": "Somebody who had nothing to do with it before is looking at it.",
    "upheld": "It was found right. Every company that had acted on it was told, and asked to put right what it did.",
    "rejected": "It was looked at again by somebody else, and what was reported stands.",
    "overtaken": "What it was about is gone; nobody has to decide it any more.",
}


@csrf_exempt  # it changes nothing and signs nobody in; so it needs no cookie either
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def appeal_page(request: HttpRequest) -> HttpResponse:
    """A form; sent, the state and its times. The reference travels in the body, so that no address ever holds it."""
    if request.method != "POST":
        return render(request, "signals/appeal.html")
    try:
        charge_stranger(request.META)
        known = appeals.state_of(appeals.as_typed(request.POST.get("reference", "")))
    except NotFound:
        return render(request, "signals/appeal.html", {"is_unknown": True}, status=404)
    except RateLimited as refusal:
        page = render(request, "signals/appeal.html", {"is_too_often": True}, status=429)
        page.headers["Retry-After"] = str(refusal.facts["retry_after"])
        return page
    return render(request, "signals/appeal.html", {"known": known, "in_words": _IN_WORDS[str(known["state"])]})
