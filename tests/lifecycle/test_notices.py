"""Notices: told with what they tell of, posted in commit order, read by cursor; recalls from the change log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction

from signals.core.notices import NoticeKind
from signals.lifecycle.notice_feed import read_notices, start_notices
from signals.lifecycle.notices import notify, post_notices
from signals.lifecycle.recalls import tell_recalls
from signals.models import Notice
from tests.builders import a_programme
from tests.companies import Company, a_company, now

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(db: None) -> Company:
    programme = a_programme("csea")
    a_company("birch-chat", programme)
    return a_company("acme-social", programme)


def tell() -> None:
    while tell_recalls(at=now()) + post_notices(at=now()):
        pass


def told(company: Company) -> list[dict[str, Any]]:
    """Everything that a company is told, from the start."""
    place, items, more = start_notices(company.partner.pk, channel="notices", at=now()), [], True
    while more:
        page = read_notices(place, partner_slug=company.slug, limit=100, at=now())
        place, more = page.place, page.more
        items += [json.loads(item) for item in page.items]
    return items


def test_what_is_told_is_read_in_order_once_it_is_posted(acme: Company) -> None:
    for number in range(3):
        with transaction.atomic():
            notify(acme.partner.pk, NoticeKind.KEY_RETIRED, {"kid": f"key-{number}"}, at=now())
    assert told(acme) == []
    tell()
    assert [item["facts"] for item in told(acme)] == [{"kid": f"key-{number}"} for number in range(3)]
    assert set(told(acme)[0]) == {"id", "kind", "at", "facts"}


def test_a_notice_goes_the_way_of_what_it_tells(acme: Company) -> None:
    with transaction.atomic():
        notify(acme.partner.pk, NoticeKind.KEY_RETIRED, {"kid": "k"}, at=now())
        transaction.set_rollback(True)
    tell()
    assert told(acme) == []
    assert not Notice.objects.exists()
