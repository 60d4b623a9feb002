"""Every action a leaf may name, with its meaning in one sentence: a closed list, so that every leaf can be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """What an action means. What is `mirrored` is copied outside the database too, to be applied after a restore.

    Whatever takes a right away belongs there: a backup would give it back.
    """

    meaning: str
    mirrored: bool = False


ACTIONS: dict[str, Action] = {
    "api-key.created": Action("A partner's API key was made."),
    "api-key.failed": Action("Requests with an unusable API key were turned away; counted by the minute."),
    "api-key.revoked": Action("A partner's API key was revoked.", mirrored=True),
    "api-key.rolled": Action(
        "A partner's API key was replaced by a new one that may do the same; the old one ends.", mirrored=True
    ),
    "attempt.read": Action("A member of staff read what a receiver had answered."),
    "database.restored": Action(
        "The database was put back from a backup; holds the tree size and root that were lost."
    ),
    "delivery.disclosed": Action("A batch of signals was sent to a partner's endpoint."),
    "endpoint.changed": Action("A partner's webhook endpoint was changed.", mirrored=True),
    "endpoint.created": Action("A partner's webhook endpoint was made."),
    "endpoint.disabled": Action("A partner's webhook endpoint was switched off.", mirrored=True),
    "endpoint.enabled": Action("A partner's webhook endpoint was switched on again."),
    "endpoint.failing": Action("An endpoint has failed for days without a success; its partner was told."),
    "endpoint.recovered": Action("An endpoint that was failing answered again."),
    "endpoint.removed": Action("A partner's webhook endpoint was removed.", mirrored=True),
    "endpoint.replayed": Action("A new walk of an endpoint was begun: from the start, or from a time."),
    "endpoint.secret-rotated": Action("An endpoint got a new signing secret.", mirrored=True),
    "endpoint.verified": Action("An endpoint repeated the challenge sent to its address."),
    "epoch.renewed": Action("A new epoch began: every channel walks again.", mirrored=True),
    "feed.acknowledged": Action("A partner said that it has applied a programme's feed up to some place."),
    "feed.disclosed": Action("A page of a programme's feed was served to a partner."),
    "feed.forgotten": Action("Tombstones that everybody had time to read were taken out of a programme's feed."),
    "hold.approved": Action("A held signal was approved for publication, its checks run again."),
    "hold.refused": Action("A held signal was refused for good."),
    "hub-key.rotated": Action("The hub got a new signing key of its own."),
    "key.activated": Action("A partner's signing key became active; holds the public JWK."),
    "key.endorsed": Action("A partner endorsed a signing key of its own with an active one."),
    "key.proposed": Action("A partner proposed a signing key; holds the public JWK."),
    "key.retired": Action("A partner's signing key was retired: what it signed before stays good.", mirrored=True),
    "key.revoked": Action("A partner's signing key was revoked as compromised.", mirrored=True),
    "ledger.row-unreadable": Action("An outbox row was no event of ours; holds its SHA-256 and its length."),
    "legal-hold.lifted": Action("A legal hold on a signal was lifted: it is purged when its time comes."),
    "legal-hold.placed": Action(
        "A signal was put under legal hold: it is not purged until the hold is lifted.", mirrored=True
    ),
    "membership.began": Action("A partner joined a programme, or joined it again."),
    "membership.changed": Action("What a member may do, its training or its agreement changed.", mirrored=True),
    "membership.ended": Action("A partner left a programme; its members' copies must be erased.", mirrored=True),
    "membership.resumed": Action("A suspended membership was resumed."),
    "membership.suspended": Action("A membership was suspended: no pages, no deliveries.", mirrored=True),
    "notices.disclosed": Action("A page or body of notices was sent to a partner: what it was told, recalls included."),
    "notices.forgotten": Action("Notices of long ago were dropped."),
    "partner.changed": Action("A partner's record was changed."),
    "partner.enrolled": Action("A partner was enrolled."),
    "partner.left": Action("A partner left the hub.", mirrored=True),
    "partner.limits-changed": Action("How much a partner may ask of the hub was changed."),
    "partner.probation-began": Action("A partner was put on probation: its signals wait for a person.", mirrored=True),
    "partner.probation-ended": Action("A partner's probation ended."),
    "partner.resumed": Action("A suspended partner was resumed."),
    "partner.suspended": Action("A partner was suspended in every programme.", mirrored=True),
    "programme.changed": Action("A programme's taxonomy, types, retention or gates changed.", mirrored=True),
    "programme.created": Action("A programme was made."),
    "signal.expired": Action("Signals reached their expiry and became tombstones.", mirrored=True),
    "signal.published": Action(
        "Signals took their positions in a programme's feed: head, count, Merkle root of the pairs.", mirrored=True
    ),
    "signal.purged": Action("A removed signal's value, note, statement and ledger salts were erased.", mirrored=True),
    "signal.quarantined": Action(
        "Signals were hidden because their key was compromised or at legal risk.", mirrored=True
    ),
    "signal.recalled": Action("Removals were told to those who may have had the signals, ahead of the feed."),
    "signal.restored": Action("A quarantined signal was served again."),
    "signal.restricted": Action("A signal's permitted action was lowered to investigate."),
    "signal.revised": Action("A signal got a new revision by its author."),
    "signal.widened": Action("A signal's audience was widened by a later routing."),
    "signal.withdrawn": Action("A signal was withdrawn by its author.", mirrored=True),
    "staff.account-created": Action("A staff account was made."),
    "staff.password-changed": Action("A member of staff changed their password.", mirrored=True),
    "staff.password-renewed": Action("A staff account got a new one-time password.", mirrored=True),
    "staff.roles-changed": Action("A staff account's roles changed.", mirrored=True),
    "staff.sign-in-failed": Action(
        "Signing in to the admin failed: the first, tenth, hundredth… failure of an account within a minute."
    ),
    "staff.signed-in": Action("A member of staff signed in to the admin."),
    "staff.signed-out": Action("A member of staff signed out of the admin."),
    "staff.switched-off": Action("A staff account was switched off: it opens nothing any more.", mirrored=True),
    "staff.switched-on": Action("A staff account was switched on again, with a new one-time password."),
    "statement.accepted": Action("A statement was verified and accepted."),
    "statement.held": Action("A statement was verified and held for review."),
    "statement.refused": Action("A statement was refused; holds the stable code."),
    "statement.undone": Action("Withdrawals and routings signed with a fallen key count no more; holds their number."),
    "submission.received": Action("A batch of statements was accepted durably, before anything else was done with it."),
    "value.revealed": Action("A member of staff was shown an indicator's value in full."),
    "value.searched": Action("A member of staff searched for an indicator's value."),
    "vault.key-rotated": Action("A key-encryption or index key of the vault was rotated."),
    "vault.period-destroyed": Action(
        "A month's data keys were destroyed: what they sealed is gone, in backups too.", mirrored=True
    ),
    "warning-list.imported": Action("A list of known-benign values was imported."),
    "warning-list.removed": Action("A list of known-benign values was removed."),
}
