"""Operators see whom what was told, and what waits to be; what it says is the partner's."""

from __future__ import annotations

import pytest
from django.db import transaction

from hub.staff.roles import Role
from signals.core.notices import NoticeKind
from signals.lifecycle.notices import notify, post_notices
from tests.admin.scene import at_the_desk
from tests.builders import a_partner
from tests.companies import now

pytestmark = pytest.mark.django_db


def test_notices_are_listed_without_what_they_say() -> None:
    partner = a_partner("acme-social")
    for kid in ("k-told", "k-waiting"):
        with transaction.atomic():
            notify(partner.pk, NoticeKind.KEY_RETIRED, {"kid": kid}, at=now())
        if kid == "k-told":
            post_notices(at=now())
    operator = at_the_desk(Role.OPERATOR)
    page = operator.get("/admin/signals/notice/").content.decode()
    assert page.count("acme-social</td>") == 2
    assert "key.retired" in page
    assert "k-told" not in page
