from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from hub.staff.roles import Role
from partners.admin.forms import Settings as ProgrammeForm
from partners.api.authentication import caller_of
from partners.core.keys import fingerprint
from partners.core.limits import OwnLimits
from partners.core.states import KeyState, MembershipState
from partners.models import ApiKey, Membership, Partner, Programme, SigningKey
from tests.builders import (
    a_membership,
    a_partner,
    a_programme,
    a_signing_key,
    an_api_key,
    an_ed25519_key,
    b64,
    public_jwk,
)
from tests.partners.conftest import Recorded

pytestmark = pytest.mark.django_db

Desk = Callable[..., Client]


@pytest.fixture
def desk() -> Desk:
    """A browser in which somebody with these roles has signed in."""

    def sit_down(*roles: Role) -> Client:
        user = User.objects.create(username="somebody", is_staff=True)
        user.groups.set([Group.objects.get_or_create(name=role.value)[0] for role in roles])
        client = Client()
        client.force_login(user)
        return client

    return sit_down


def _address(row: Any, verb: str = "") -> str:
    page = f"/admin/partners/{row._meta.model_name}/{row.pk}/"
    return f"{page}do/{verb}/" if verb else f"{page}change/"


def _rows() -> list[Any]:
    acme, csea = a_partner(), a_programme()
    an_api_key(acme)
    return [acme, csea, a_membership(acme, csea), a_signing_key(acme).row, ApiKey.objects.get()]


@pytest.mark.parametrize("role", [*Role, None])
def test_pages_open_by_role(desk: Desk, role: Role | None) -> None:
    rows = _rows()
    client = desk(role) if role else desk()
    for row in rows:
        for page in (f"/admin/partners/{row._meta.model_name}/", _address(row)):
            assert client.get(page).status_code == (200 if role else 302), page


def test_no_page_writes_by_itself(desk: Desk) -> None:
    rows = _rows()
    client = desk(*Role)
    for row in rows:
        page = client.get(_address(row)).content.decode()
        assert 'name="_save"' not in page
        assert client.post(_address(row), {"name": "changed", "slug": "changed"}).status_code == 403
        assert client.get(_address(row).replace("change", "delete")).status_code == 403
        assert client.get(f"/admin/partners/{row._meta.model_name}/add/").status_code == 403


VERBS = [
    ("partner", "rename"),
    ("partner", "limit"),
    ("partner", "issue-api-key"),
    ("programme", "change"),
    ("membership", "change"),
    ("signingkey", "retire"),
    ("apikey", "revoke"),
]


@pytest.mark.parametrize("role", [role for role in Role if role != Role.OPERATOR])
def test_only_an_operator_manages(desk: Desk, role: Role) -> None:
    rows = {row._meta.model_name: row for row in _rows()}
    client = desk(role)
    for model, verb in VERBS:
        assert client.get(_address(rows[model], verb)).status_code == 403
        assert client.post(_address(rows[model], verb)).status_code == 403
        offered = set(re.findall(r'/do/([a-z-]+)/"', client.get(_address(rows[model])).content.decode()))
        assert offered <= ({"suspend"} if role in {Role.ANALYST, Role.SENIOR_ANALYST} else set())  # they propose it
    assert client.post("/admin/partners/partner/do/enrol/", {"slug": "mine", "name": "Mine"}).status_code == 403
    assert client.post("/admin/partners/partner/do/enrol/").status_code == 403
    assert Partner.objects.count() == 1


def test_every_button_opens_a_page_without_inline_script_or_style(desk: Desk) -> None:
    a_signing_key(a_partner("pixel-chat"), state=KeyState.PROPOSED)
    rows = [*_rows(), SigningKey.objects.get(state="proposed")]
    client = desk(Role.OPERATOR)
    pressed = 0
    for row in rows:
        page = client.get(_address(row)).content.decode()
        for address in re.findall(r'href="([^"]+/do/[^"]+)"', page):
            answer = client.get(address)
            assert answer.status_code == 200
            assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"]
            assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", answer.content.decode())
            pressed += 1
    assert pressed > 15


def test_an_operator_gives_a_partner_limits_of_its_own_and_takes_them_back(desk: Desk) -> None:
    client, partner = desk(Role.OPERATOR), a_partner()
    token = an_api_key(partner)
    client.post(_address(partner, "limit"), {"requests_per_second": "5", "max_pending_submissions": "7"})
    caller = caller_of({"HTTP_AUTHORIZATION": f"Bearer {token}"}, at=timezone.now())
    assert caller is not None
    assert caller.limits == OwnLimits(requests_per_second=5, max_pending_submissions=7)
    assert b"requests per second: 5, max pending submissions: 7" in client.get(_address(partner)).content
    assert b'value="7"' in client.get(_address(partner, "limit")).content
    client.post(_address(partner, "limit"), {})
    partner.refresh_from_db()
    assert (partner.requests_per_second, partner.max_pending_submissions) == (None, None)


def test_an_operator_enrols_a_partner_and_lets_it_in(desk: Desk, recorded: Recorded) -> None:
    client = desk(Role.OPERATOR)
    client.post("/admin/partners/partner/do/enrol/", {"slug": "acme-social", "name": "Acme"})
    client.post("/admin/partners/programme/do/found/", {"slug": "csea", "name": "CSEA", "preset": "csea"})
    partner = Partner.objects.get()
    joined = client.post(
        _address(partner, "join"),
        {"programme": "csea", "may_receive": "on", "agreement_version": "0", "reason": "file 7"},
        follow=True,
    )
    assert "somebody else has approved it" in joined.content.decode()
    assert not Membership.objects.exists()
    actor = f"staff:{User.objects.get().pk}"
    told = [(event["action"], event["actor"]) for event in recorded() if not event["action"].startswith("staff.")]
    assert told == [("partner.enrolled", actor), ("programme.created", actor), ("approval.proposed", actor)]


def test_a_refusal_is_a_sentence_on_the_form(desk: Desk) -> None:
    partner = a_partner()
    membership = a_membership(partner, a_programme())
    assert membership.state == "active"
    terms = {"programme": "csea", "agreement_version": "0", "reason": "file 7"}
    answer = desk(Role.OPERATOR).post(_address(partner, "join"), terms)
    assert answer.status_code == 200
    assert "in the programme already" in answer.content.decode()


def test_the_first_key_is_proposed_compared_and_activated(desk: Desk) -> None:
    partner, client = a_partner(), desk(Role.OPERATOR)
    jwk = public_jwk(an_ed25519_key())
    client.post(_address(partner, "propose-key"), {"jwk": json.dumps(jwk)})
    key = SigningKey.objects.get()
    assert fingerprint(key.kid) in client.get(_address(key)).content.decode()
    assert client.post(_address(key, "activate")).status_code == 200
    assert SigningKey.objects.get().state == "proposed"
    client.post(_address(key, "activate"), {"is_compared": "on"})
    key.refresh_from_db()
    assert (key.state, key.approved_by) == ("active", f"staff:{User.objects.get().pk}")


def test_a_private_key_pasted_by_mistake_is_not_repeated(desk: Desk) -> None:
    secret = an_ed25519_key()
    pasted = {**public_jwk(secret), "d": b64(secret.private_bytes_raw())}
    answer = desk(Role.OPERATOR).post(_address(a_partner(), "propose-key"), {"jwk": json.dumps(pasted)})
    page = answer.content.decode()
    assert "make a new key" in page
    assert pasted["d"] not in page


def test_an_api_keys_token_is_shown_once(desk: Desk) -> None:
    partner, client = a_partner(), desk(Role.OPERATOR)
    answer = client.post(_address(partner, "issue-api-key"), {"scopes": ["feed:read"], "days": "30"})
    assert "no-store" in answer.headers["Cache-Control"]
    found = re.search(r"hg_dev_\w+", answer.content.decode())
    assert found
    caller = caller_of({"HTTP_AUTHORIZATION": f"Bearer {found.group()}"}, at=timezone.now())
    assert caller is not None
    assert caller.scopes == {"feed:read"}
    key = ApiKey.objects.get()
    for page in (_address(key), "/admin/partners/apikey/", _address(partner)):
        content = client.get(page).content.decode()
        assert found.group().split("_")[3] not in content
        assert bytes(key.secret_digest).hex() not in content


def test_an_api_key_is_rolled_and_revoked(desk: Desk) -> None:
    an_api_key(a_partner())
    old, client = ApiKey.objects.get(), desk(Role.OPERATOR)
    assert "hg_dev_" in client.post(_address(old, "roll"), {"hours": "1"}).content.decode()
    client.post(_address(old, "revoke"))
    old.refresh_from_db()
    assert old.revoked_at is not None
    assert ApiKey.objects.filter(revoked_at__isnull=True).get().rolled_from == old


def test_a_programmes_settings_are_replaced_whole(desk: Desk) -> None:
    programme, client = a_programme(), desk(Role.OPERATOR)
    form = client.get(_address(programme, "change")).content.decode()
    assert "csam-distribution" in form
    now = ProgrammeForm.of(programme)
    sent = {
        **now,
        "violations": "sextortion, other",
        "indicator_types": "md5 pdq",
        "retention_days": '{"*": 30, "md5": 60}',
        "gates": '{"flood": 100}',
        "agreement_version": "2",
        "is_training_required": "on",
        "on_leaving": "withdraw",
    }
    client.post(_address(programme, "change"), sent)
    programme = Programme.objects.get()
    assert (programme.violations, programme.retention_days) == (["sextortion", "other"], {"*": 30, "md5": 60})
    assert (programme.gates, programme.agreement_version, programme.is_training_required) == ({"flood": 100}, 2, True)
    assert programme.on_leaving == "withdraw"
    for wrong in ({"retention_days": "[]"}, {"retention_days": "{"}, {"indicator_types": "md6"}, {"gates": "7"}):
        assert client.post(_address(programme, "change"), {**sent, **wrong}).status_code == 200
    assert Programme.objects.get().indicator_types == ["md5", "pdq"]


def test_the_ways_out_lead_to_where_leaving_is_proposed(desk: Desk) -> None:
    membership, client = a_membership(a_partner(), a_programme()), desk(Role.OPERATOR)
    propose = "/admin/signals/departure/do/propose/?partner=acme-social"
    assert propose in client.get(_address(membership.partner)).content.decode()
    assert f"{propose}&amp;programme=csea" in client.get(_address(membership)).content.decode()
    Membership.objects.update(state=MembershipState.ENDED.value, ended_at=timezone.now())
    page = client.get(_address(membership)).content.decode()
    assert "do/change" not in page
    assert propose not in page


def test_what_is_not_there_is_not_found(desk: Desk) -> None:
    client = desk(Role.OPERATOR)
    partner = a_partner()
    assert client.get("/admin/partners/partner/999/do/suspend/").status_code == 404
    assert client.get(_address(partner, "explode")).status_code == 404
    assert client.get("/admin/partners/partner/do/explode/").status_code == 404


def test_lists_cost_the_same_for_one_and_for_many(desk: Desk, django_assert_max_num_queries: Any) -> None:
    acme, csea = a_partner(), a_programme()
    for number in range(12):
        a_membership(a_partner(f"member-{number}"), csea)
        a_signing_key(acme)
        an_api_key(acme)
    client = desk(Role.OPERATOR)
    client.get("/admin/")  # the first page of a session notes when it began
    for model in ("partner", "programme", "membership", "signingkey", "apikey"):
        with django_assert_max_num_queries(10):
            assert client.get(f"/admin/partners/{model}/").status_code == 200
