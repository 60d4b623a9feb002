"""One example of every shape of the API, on reserved domains and with published keys; a test holds each to its schema.

The signing key is that of RFC 8037 (appendix A), the proposed one that of RFC 8032 (section 7.1, test 2), so both
statements below verify.
"""

from __future__ import annotations

from typing import Any

_KID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
_PROPOSED_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}
_PROPOSED_KID = "FtIu-VbGrfe_KB6CH7GNwODB72MNxj_ml11dEvO-7kk"
_AT = "2026-11-02T09:00:01.250000Z"
_SIGNAL_ID = "0198c5c2-7f00-7a3b-8000-3c5d6e7f8091"

STATEMENT = (
    "eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoia1ByS19xbXhWV2FZVkE5d3dCRjZJdW8zdlZ6ejdUeEhDVHdYQnlnclM0ayIsInR5cCI6"
    "InNpZ25hbCtqd3MifQ.eyJ2IjoxLCJpc3MiOiJhY21lLXNvY2lhbCIsImp0aSI6IjIwMjYtMTEtMDIuNDcxMSIsImlhdCI6MTc5M"
    "zYxMDAwMCwiYXVkIjoiaHViLmV4YW1wbGUiLCJwcm9ncmFtbWUiOiJjc2VhIiwiaW5kaWNhdG9yIjp7InR5cGUiOiJ1cmwiLCJ2Y"
    "Wx1ZSI6Imh0dHBzOi8vYmFkLmV4YW1wbGUvcm9vbS83In0sInJvbGUiOiJ2ZW51ZSIsInZpb2xhdGlvbiI6Imdyb29taW5nIiwiZ"
    "XZpZGVuY2UiOiJjb25maXJtZWQiLCJyZXZpZXciOiJodW1hbiIsIm9yaWdpbiI6Im93biIsImNvbmZpZGVuY2UiOjkwLCJzZXZlc"
    "ml0eSI6ImhpZ2giLCJoYW5kbGluZyI6eyJ0bHAiOiJhbWJlciIsImF1ZGllbmNlIjoicHJvZ3JhbW1lIiwicGVybWl0dGVkIjpbI"
    "mludmVzdGlnYXRlIiwicmVzdHJpY3QtY29udGVudCJdfX0.iSKuRDeJwe3DcYEvi6CC6DOAjW6cq_s3t_ePrwV9JqqDeLO5Om8cD"
    "S1G-DCxbyuc-PDfXt8oWBC19-Ton1SsDg"
)

ENDORSEMENT = (
    "eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoia1ByS19xbXhWV2FZVkE5d3dCRjZJdW8zdlZ6ejdUeEhDVHdYQnlnclM0ayIsInR5cCI6"
    "ImtleS1lbmRvcnNlbWVudCtqd3MifQ.eyJ2IjoxLCJpc3MiOiJhY21lLXNvY2lhbCIsImp0aSI6ImVuZG9yc2UtMiIsImlhdCI6M"
    "Tc5MzYxMDAwMCwiYXVkIjoiaHViLmV4YW1wbGUiLCJqd2siOnsiY3J2IjoiRWQyNTUxOSIsImt0eSI6Ik9LUCIsIngiOiJQVUFYd"
    "y1oRGlWcVN0d3FuVFJ0LXZKeVlMTTh1eEphTXdNMVY4U3IwWmd3In19.5VShLWLHAp7cF9Nu30zJ_uFBVJE-S7kYoZ45uRrN_Oiw"
    "akwTW7QijVJ7wmNN1ILo3VTcysZ_ac7OYouvRCfODg"
)

_PAYLOAD = {
    "v": 1,
    "iss": "acme-social",
    "jti": "2026-11-02.4711",
    "iat": 1793610000,
    "aud": "hub.example",
    "programme": "csea",
    "indicator": {"type": "url", "value": "https://bad.example/room/7"},
    "role": "venue",
    "violation": "grooming",
    "evidence": "confirmed",
    "review": "human",
    "origin": "own",
    "confidence": 90,
    "severity": "high",
    "handling": {"tlp": "amber", "audience": "programme", "permitted": ["investigate", "restrict-content"]},
}
_ROOT = "JGWkD6OrBPEiz2Cw0WauGu3nuobAZ/wF1ngwa1+UjyI="
_CHECKPOINT = (  # signed with the two keys above, the second one's owner being the witness
    f"hub.example/ledger\n3\n{_ROOT}\n\n"
    "— hub.example/ledger "
    "+BFbPb061R+9YZIHfLR89nhAIY8VQ0hbuhszYSlOMl1D+yPP9ChIPAuQ+UAd4EzLvWfV4R0OnreKKkQGXESMOEZAJAw=\n"
    "— witness.birch.example "
    "oHUi6AAAAABq6FETVWFMfK78y9aXPSXcmE8j8HFTL/JH4qneQp5e2jIbv+g8G64/vRSwGqB8V8OiqemugmhfrfvoVmW/jdx8bQf9BA==\n"
)
_LEAF_HASHES = (
    "2zQm6HgGjSjSabbIcXIyLOU3K2V1bQeJAB00g19gHAM=",
    "f9HZsO6EokXRGlVObPR/Dr9ljdhquouy/Uvzy/Ydep0=",
    "+mHj3sNDlYn0eEyJO/Mh0AhPBMVyx68raOPzNgo1tIY=",
)
_LEAF = {
    "index": 1,
    "hash": _LEAF_HASHES[1],
    "entry": (
        '{"action":"statement.accepted","actor":"partner:acme-social","at":"2026-11-02T09:00:01.250000Z",'
        '"commitments":{},"facts":{"kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","line":1,'
        '"submission":"0198c5c2-7e80-7000-8000-5f6e7d8c9bab","typ":"signal+jws"},'
        '"id":"0198c5c2-7f01-7c3b-8000-0a1b2c3d4e5f","nonce":"000102030405060708090a0b0c0d0e0f",'
        '"sequenced_at":"2026-11-02T09:00:01.400000Z","subjects":[{"id":"partner:acme-social","n":2},'
        '{"id":"signal:0198c5c2-7f00-7a3b-8000-3c5d6e7f8091","n":1},{"id":"programme:csea","n":2}],"v":1}'
    ),
}
_COSIGNATURE = {"witness": "birch", "at": "2026-11-02T09:00:03Z"}
_COUNTS = {"accepted": 1, "held": 0, "refused": 1, "pending": 0}
_ACCEPTED = {
    "line": 1,
    "type": "signal",
    "jti": "2026-11-02.4711",
    "verdict": "accepted",
    "signal": _SIGNAL_ID,
    "revision": 1,
    "state": "published",
}
_REFUSED = {
    "line": 2,
    "type": "signal",
    "jti": "2026-11-02.4712",
    "verdict": "refused",
    "code": "schema",
    "detail": "This member is missing.",
    "pointer": "/severity",
}
_INDICATOR = {"type": "url", "value": "https://bad.example/room/7", "changes": []}
_ITEM = {
    "id": _SIGNAL_ID,
    "revision": 1,
    "state": "published",
    "changed_at": _AT,
    "issuer": "acme-social",
    "received_at": _AT,
    "permitted": ["investigate", "restrict-content"],
    "indicator": _INDICATOR,
    "signal": _PAYLOAD,
    "jws": STATEMENT,
}
_PAGE = {
    "programme": "csea",
    "channel": "pull",
    "epoch": 1,
    "walk": 17,
    "listed": True,
    "more": False,
    "next": "iZ2kq1vPq8Yw0mFh5b3c7d9eAbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdEfGhIjKl",
}
_OWN_OPINION = {
    "jti": "o-1",
    "digest": "tiXmv3mu92wCFyDmbIGr4qFz9y1Ia6xQpNzW1Vs9vFI",
    "signal": _SIGNAL_ID,
    "received_at": _AT,
    "stands": True,
    "opinion": "false-positive",
    "reason": "mistaken-identity",
}
_OWN_OUTCOME = {
    "jti": "did-1",
    "digest": "tiXmv3mu92wCFyDmbIGr4qFz9y1Ia6xQpNzW1Vs9vFI",
    "signal": _SIGNAL_ID,
    "received_at": _AT,
    "stands": True,
    "did": ["account-actioned", "referred"],
    "review": "human",
    "basis": "own-finding",
    "policy": "tos/child-safety-4.2",
}
_SHARE = {"of": 20, "value": 0.9, "low": 0.699, "high": 0.9721}
_TYPE_QUALITY = {
    "type": "username",
    "signals": 100,
    "right": 18,
    "wrong": 2,
    "withdrawn": 1,
    "seconds_to_withdraw": 5400.0,
    "precision": _SHARE,
    "dispute_rate": {"of": 100, "value": 0.02, "low": 0.0055, "high": 0.07},
    "echo_share": {"of": 100, "value": 0.25, "low": 0.1755, "high": 0.343},
    "late_share": {"of": 2, "value": 0.0, "low": 0.0, "high": 0.6576},
}
_NOTICE = {
    "id": "0c1d2e3f-4a5b-4c6d-8e7f-90a1b2c3d4e5",
    "kind": "recall",
    "at": _AT,
    "facts": {
        "programme": "csea",
        "epoch": 1,
        "signals": [{"id": _SIGNAL_ID, "revision": 2, "state": "withdrawn"}],
    },
}
_FILTER = {"types": ["url", "domain"], "violations": ["grooming"]}
_ATTEMPT = {
    "at": _AT,
    "kind": "batch",
    "webhook_id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "signals": 12,
    "delivered": True,
    "status": 204,
    "error": "",
    "latency_ms": 84,
    "settled": True,
}
_FAILED = {**_ATTEMPT, "delivered": False, "status": 503, "error": "http-status", "excerpt": "down for maintenance"}
_LAG = {"signals": 0, "is_more": False, "seconds": 0.0}
_ENDPOINT = {
    "id": "5f0c8d3e-2b1a-4c6d-9e8f-0a1b2c3d4e5f",
    "feed": "signals",
    "programme": "csea",
    "url": "https://hooks.acme.example/heliograph",
    "filter": _FILTER,
    "batch_size": 200,
    "payload": "full",
    "posts_per_minute": None,
    "signatures": ["v1"],
    "public_keys": [],
    "has_ca_pem": False,
    "alert_email": "",
    "verified_at": "2026-10-01T08:00:01Z",
    "old_secrets_valid_until": [],
    "breaker": "closed",
    "is_failing": False,
    "state": "active",
    "state_reason": "",
    "failures": 0,
    "next_attempt_at": _AT,
    "last_success_at": _AT,
    "created_at": "2026-10-01T08:00:00Z",
    "last_attempt": _ATTEMPT,
}
_SIGNING_KEY = {
    "kid": _KID,
    "fingerprint": "90fa cafe a9b1 5566 9854 0f70 c011 7a22 ea37 bd5c f3ed 3c47 093c 1707 282b 4b89",
    "jwk": _JWK,
    "state": "active",
    "proposed_at": "2026-10-01T08:00:00Z",
    "activated_at": "2026-10-01T09:30:00Z",
    "retired_at": None,
    "revoked_at": None,
    "compromised_at": None,
    "endorsed_by": None,
}
_PUBLISHED_KEY = {
    **_JWK,
    "kid": _KID,
    "use": "sig",
    "state": "active",
    "valid_from": "2026-10-01T09:30:00Z",
    "valid_until": None,
    "compromised_at": None,
}
_STANDING = {
    "state": "active",
    "generation": 1,
    "may_submit": True,
    "may_receive": True,
    "agreement_version": 3,
    "training_valid_until": "2027-04-30",
}
_PROGRAMME = {
    "slug": "csea",
    "name": "Child sexual exploitation and abuse",
    "violations": ["grooming", "sextortion", "trading", "csam-distribution", "intimate-images", "other"],
    "indicator_types": ["url", "domain", "username", "pdq", "sha256"],
    "retention_days": {"*": 365, "username": 180},
    "agreement_version": 3,
    "on_leaving": "keep",
    "membership": _STANDING,
}
_DEPARTURE = {
    "departure": "0d7c0f2e-2d5c-4a57-9a5e-6f1b1d0f8a33",
    "programme": "csea",
    "left_at": "2026-11-02T09:00:01.250000Z",
    "signals": "keep",
    "due_at": "2026-12-02T09:00:01.250000Z",
    "state": "due",
    "known_since": None,
}
_MEMBER = {"slug": "birch-chat", "name": "Birch Chat", "state": "active"}
_API_KEY = {
    "id": "0000000000",
    "name": "ingest, Frankfurt",
    "scopes": ["statements:submit", "feed:read"],
    "networks": ["192.0.2.0/24"],
    "issued_at": "2026-10-01T08:00:00Z",
    "expires_at": None,
    "last_used_at": "2026-11-02T09:00:00Z",
}

EXAMPLES: dict[str, Any] = {
    "AcknowledgedShape": {"programme": "csea", "channel": "pull", "epoch": 1, "walk": 17},
    "AcknowledgementShape": {"cursor": _PAGE["next"]},
    "AddedEndpointShape": {
        **_ENDPOINT,
        "verified_at": None,
        "last_success_at": None,
        "last_attempt": None,
        "secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    },
    "ApiKeyShape": _API_KEY,
    "ApiKeys": {"api_keys": [_API_KEY]},
    "AttemptShape": _ATTEMPT,
    "AttemptsShape": {"attempts": [_FAILED], "before": None},
    "ChangedEndpointShape": {"state": "paused"},
    "CountsShape": _COUNTS,
    "EndpointShape": _ENDPOINT,
    "FallShape": {"compromised_at": "2026-11-01T22:15:00Z"},
    "FallenShape": {"revoked": [_KID, _PROPOSED_KID]},
    "FilterShape": _FILTER,
    "HealthShape": {
        "lag": _LAG,
        "attempts": 1440,
        "success_rate": 0.9986,
        "p50_ms": 84,
        "p99_ms": 310,
        "breaker": "closed",
        "breaker_since": None,
        "failures": 0,
        "failing_since": None,
        "is_failing": False,
        "next_attempt_at": _AT,
    },
    "HubJwk": {**_JWK, "kid": _KID, "use": "sig"},
    "HubJwks": {"keys": [{**_JWK, "kid": _KID, "use": "sig"}]},
    "IndicatorShape": _INDICATOR,
    "ItemShape": _ITEM,
    "Jwk": _JWK,
    "LagShape": _LAG,
    "Member": _MEMBER,
    "Members": {"members": [{"slug": "acme-social", "name": "Acme Social", "state": "active"}, _MEMBER]},
    "NewEndpointShape": {
        "feed": "signals",
        "programme": "csea",
        "url": "https://hooks.acme.example/heliograph",
        "filter": _FILTER,
        "batch_size": 200,
    },
    "NoticePageShape": {
        **{name: value for name, value in _PAGE.items() if name != "programme"},
        "channel": "notices",
        "items": [_NOTICE],
    },
    "NoticeShape": _NOTICE,
    "OwnMembership": _STANDING,
    "OwnSignalShape": {
        "id": _SIGNAL_ID,
        "programme": "csea",
        "jti": "2026-11-02.4711",
        "type": "url",
        "state": "published",
        "revision": 1,
        "waiting": None,
        "held": [],
        "received_at": _AT,
        "published_at": _AT,
        "changed_at": _AT,
        "expires_at": "2027-11-02T09:00:01.250000Z",
    },
    "AppealShape": {
        "reference": "5f3b1d0e-2a86-4f0c-9d6b-8f0b6f6f1c11",
        "state": "in-review",
        "appealed_at": _AT,
        "due_at": "2026-11-05T09:00:01.250000Z",
        "decided_at": None,
    },
    "AppealStateShape": {
        "state": "upheld",
        "appealed_at": _AT,
        "due_at": None,
        "decided_at": "2026-11-04T10:12:00Z",
    },
    "NewAppealShape": {
        "programme": "csea",
        "signal": _SIGNAL_ID,
        "reason": "mistaken-identity",
        "evidence": "identity-checked",
        "risk": "none",
    },
    "NewRemedyShape": {"did": "access-restored"},
    "RemedyShape": {
        "remedy": "b2b9a3c6-55d0-4b7e-8f43-0c2f3f1a9d20",
        "did": "access-restored",
        "told_at": _AT,
        "due_at": "2026-11-09T09:00:01.250000Z",
        "answered_at": "2026-11-03T10:12:00Z",
    },
    "DepartureShape": _DEPARTURE,
    "DeparturesShape": {"departures": [_DEPARTURE]},
    "CheckpointShape": {
        "origin": "hub.example/ledger",
        "size": 3,
        "root_hash": _ROOT,
        "signed_at": "2026-11-02T09:00:02.100000Z",
        "cosigned": [_COSIGNATURE],
        "note": _CHECKPOINT,
    },
    "ConsistencyShape": {"old": 2, "new": 3, "hashes": [_LEAF_HASHES[2]]},
    "CosignatureShape": _COSIGNATURE,
    "DisclosuresShape": {
        "rows": [
            '{"at":"2026-11-02T09:00:01.250000Z","channel":"pull","count":1,"root":"'
            + "5f" * 32
            + '","span":"'
            + "a1" * 32
            + '","v":1,"walk":7}'
        ]
    },
    "InclusionShape": {"index": 1, "size": 3, "hashes": [_LEAF_HASHES[0], _LEAF_HASHES[2]]},
    "LeafShape": _LEAF,
    "LeavesShape": {"leaves": [_LEAF], "next": 3, "more": False},
    "PageShape": {**_PAGE, "items": [_ITEM]},
    "ProgrammeShape": _PROGRAMME,
    "RecallShape": {
        "signal": _SIGNAL_ID,
        "kind": "withdrawn",
        "recalled_at": _AT,
        "had": 14,
        "possibly_had": 0,
        "acknowledged": 12,
        "told": 11,
        "cleared": 1,
        "overdue": 1,
        "receipts": 1,
        "last_acknowledged_at": _AT,
    },
    "OwnOpinionShape": _OWN_OPINION,
    "OwnOpinionsShape": {"opinions": [_OWN_OPINION], "next": None},
    "OwnOutcomeShape": _OWN_OUTCOME,
    "OwnOutcomesShape": {"outcomes": [_OWN_OUTCOME], "next": None},
    "StandingShape": {
        "signal": _SIGNAL_ID,
        "programme": "csea",
        "state": "published",
        "permitted": ["investigate"],
        "standing": "corroborated",
        "opinions": {"confirm-own": 2, "seen": 1},
        "outcomes": {"account-actioned": 1},
    },
    "ShareShape": _SHARE,
    "TypeQualityShape": _TYPE_QUALITY,
    "QualityShape": {"types": [_TYPE_QUALITY]},
    "Programmes": {"hub": "hub.example", "partner": "acme-social", "programmes": [_PROGRAMME]},
    "Proposal": {"jwk": _PROPOSED_JWK},
    "PublishedJwk": _PUBLISHED_KEY,
    "PublishedJwks": {"keys": [_PUBLISHED_KEY]},
    "QuestionShape": {"type": "url", "value": "HTTPS://Bad.Example:443/room/7#top"},
    "ReadingShape": {
        "type": "url",
        "value": "https://bad.example/room/7",
        "service": None,
        "changes": ["The fragment was dropped."],
        "weaknesses": [],
    },
    "ReplayShape": {"from": "2026-11-01T00:00:00Z"},
    "Roll": {"old_expires_in": 86400},
    "RolledApiKey": {
        **_API_KEY,
        "last_used_at": None,
        "token": "hg_dev_0000000000_0000000000000000000000000000000000000000000_2S7Hx4",
        "rolled_from": "1111111111",
    },
    "RotationShape": {"old_valid_for": 86400},
    "ShownAttemptShape": _FAILED,
    "SigningKeyShape": _SIGNING_KEY,
    "SigningKeys": {"keys": [_SIGNING_KEY]},
    "SubmissionShape": {
        "id": "7d9f1c34-5a6b-4c8d-8e0f-1a2b3c4d5e6f",
        "status": "done",
        "received_at": _AT,
        "statements": 2,
        "counts": _COUNTS,
        "verdicts": [_ACCEPTED, _REFUSED],
    },
    "VerdictShape": _ACCEPTED,
}
