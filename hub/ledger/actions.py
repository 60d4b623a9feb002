"""Every action a leaf may name, with its meaning in one sentence: a closed list, so that every leaf can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """What an action means. What is `mirrored` is copied outside the database too, to be applied after a restore.

    Whatever takes a right away is mirrored: a backup would give it back. What goes `to_partner` may be fetched, leaf
    and proof, by the partner that it mentions, unless it mentions another besides. Nothing goes that holds a place in a
    feed, why a signal is held, or what staff think of a partner.
    """

    meaning: str
    mirrored: bool = False
    to_partner: bool = False


# By an action's first word; docs/ledger-actions.md has these headings in this order.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "What partners say": ("submission", "statement"),
    "What happens to signals": ("signal", "hold", "legal-hold"),
    "What leaves the hub": ("feed", "delivery", "notices"),
    "Who is shown what by hand": ("value", "attempt", "export"),
    "What governments ask": ("government-request",),
    "Companies, programmes and memberships": ("partner", "programme", "membership", "departure"),
    "Signing keys and API keys": ("key", "api-key"),
    "Webhook endpoints": ("endpoint",),
    "Casework": ("case", "appeal", "bulk"),
    "The hub's own people": ("staff", "approval"),
    "Keys, lists and the hub itself": ("vault", "hub-key", "warning-list", "database", "epoch", "ledger"),
}


def group_of(action: str) -> str:
    """The heading that an action stands under; KeyError for a first word that GROUPS does not have."""
    first = action.partition(".")[0]
    for heading, words in GROUPS.items():
        if first in words:
            return heading
    raise KeyError(f"{first!r} stands in no group of the ledger's actions.")


ACTIONS: dict[str, Action] = {
    "api-key.created": Action("A partner's API key was made.", to_partner=True),
    "api-key.failed": Action("Requests with an unusable API key were turned away; counted by the minute."),
    "api-key.revoked": Action("A partner's API key was revoked.", mirrored=True, to_partner=True),
    "api-key.rolled": Action(
        "A partner's API key was replaced by a new one that may do the same; the old one ends.",
        mirrored=True,
        to_partner=True,
    ),
    "appeal.received": Action(
        "A partner appealed for somebody affected by a signal; holds its codes.", to_partner=True
    ),
    "appeal.remedied": Action("A partner said what it did after an appeal was upheld.", to_partner=True),
    "appeal.told": Action("Partners that had a signal were told what an appeal about it came to; holds how many."),
    "approval.expired": Action(
        "Nobody decided on a proposal in time, or the hub was restored while it waited; nothing was done."
    ),
    "approval.granted": Action("A second person approved a proposal, which was carried out in the same transaction."),
    "approval.proposed": Action("A member of staff proposed an act that needs a second person; holds what was shown."),
    "approval.refused": Action("A second person refused a proposal; nothing was done."),
    "approval.withdrawn": Action("A member of staff withdrew their own proposal; nothing was done."),
    "attempt.read": Action("A member of staff read what a receiver had answered."),
    "bulk.drafted": Action(
        "A member of staff had a dry run made of a decision about many signals; commits to those it would change."
    ),
    "bulk.ended": Action("A decision in bulk has been applied; commits to the signals that were decided."),
    "bulk.resumed": Action("A stopped decision in bulk goes on."),
    "bulk.started": Action(
        "A dry run is applied: each signal is decided, under leaves of its own; holds the filter and the reason."
    ),
    "bulk.stopped": Action("A decision in bulk was stopped between two signals."),
    "bulk.undo-started": Action("A decision in bulk is taken back, signal by signal."),
    "bulk.undone": Action("A decision in bulk was taken back; holds for how many signals that could be done."),
    "case.claimed": Action("A member of staff claimed a case, which is theirs for a while."),
    "case.commented": Action("A member of staff commented on a case; holds a commitment to the text."),
    "case.decided": Action(
        "A case was decided; holds the outcome and the code of its reason, and commitments to policy and comment."
    ),
    "case.handed-over": Action("A case was handed over to another member of staff."),
    "case.opened": Action("A person was asked to decide about a signal or a partner."),
    "case.overtaken": Action("A case was closed undecided: what it was about is gone."),
    "case.paused": Action("The clock of a case was stopped; holds the code of the reason."),
    "case.released": Action("A member of staff gave a claimed case back undecided."),
    "case.reopened": Action("A decided case was opened again; its decision stands until there is another."),
    "case.resumed": Action("The clock of a paused case goes on; it is due as much later as it stood still."),
    "case.skipped": Action("A member of staff passed a case over: it is offered to others."),
    "case.undone": Action("A decision was undone within its window; the case waits again."),
    "database.restored": Action(
        "The database was put back from a backup; holds the tree size and root that were lost."
    ),
    "delivery.disclosed": Action(
        "Signals were sent to a partner's endpoint: one minute's bodies, with the Merkle root of their disclosures.",
        to_partner=True,
    ),
    "departure.began": Action(
        "A partner that left was asked to sign that it has erased everything; holds its signals' fate and the time.",
        mirrored=True,
        to_partner=True,
    ),
    "departure.erased": Action(
        "That a leaver has erased everything is known, or was given up; holds how, and a signature's digest.",
        to_partner=True,
    ),
    "departure.settled": Action("Nothing of what a leaver had said is left to withdraw; holds how many were."),
    "endpoint.changed": Action("A partner's webhook endpoint was changed.", mirrored=True, to_partner=True),
    "endpoint.created": Action("A partner's webhook endpoint was made.", to_partner=True),
    "endpoint.disabled": Action("A partner's webhook endpoint was switched off.", mirrored=True, to_partner=True),
    "endpoint.enabled": Action("A partner's webhook endpoint was switched on again.", to_partner=True),
    "endpoint.failing": Action(
        "An endpoint has failed for days without a success; its partner was told.", to_partner=True
    ),
    "endpoint.recovered": Action("An endpoint that was failing answered again.", to_partner=True),
    "endpoint.removed": Action("A partner's webhook endpoint was removed.", mirrored=True, to_partner=True),
    "endpoint.replayed": Action(
        "A new walk of an endpoint was begun: from the start, or from a time.", to_partner=True
    ),
    "endpoint.secret-rotated": Action("An endpoint got a new signing secret.", mirrored=True, to_partner=True),
    "endpoint.verified": Action("An endpoint repeated the challenge sent to its address.", to_partner=True),
    "epoch.renewed": Action("A new epoch began: every channel walks again.", mirrored=True),
    "export.asked": Action("A member of staff asked for an export of the ledger; holds what was asked for."),
    "export.denied": Action("Somebody of the staff without the right asked for an export of the ledger."),
    "export.downloaded": Action("The file of an export was handed out."),
    "export.ended": Action("The file of an export was erased: its time was over."),
    "export.failed": Action("An export could not be made."),
    "export.made": Action("An export of the ledger was made; holds its counts, its checkpoint and its file's SHA-256."),
    "export.opened": Action("An export opened what was said about these signals; recorded before it was read."),
    "feed.acknowledged": Action(
        "A partner said that it has applied a programme's feed up to some place.", to_partner=True
    ),
    "feed.disclosed": Action(
        "A programme's feed was served to a partner: one minute's pages, with the Merkle root of their disclosures.",
        to_partner=True,
    ),
    "feed.forgotten": Action("Tombstones that everybody had time to read were taken out of a programme's feed."),
    "government-request.decided": Action("What the operator did about a government's request was written down."),
    "government-request.received": Action("A government asked for something: what kind of body, where, what for."),
    "hold.approved": Action("A held signal was approved for publication, its checks run again."),
    "hold.refused": Action("A held signal was refused for good."),
    "hold.reopened": Action("A decision about a held signal was undone before anybody was served: it is held again."),
    "hub-key.rotated": Action("The hub got a new signing key of its own."),
    "key.activated": Action("A partner's signing key became active; holds the public JWK.", to_partner=True),
    "key.endorsed": Action("A partner endorsed a signing key of its own with an active one.", to_partner=True),
    "key.proposed": Action("A partner proposed a signing key; holds the public JWK.", to_partner=True),
    "key.retired": Action(
        "A partner's signing key was retired: what it signed before stays good.", mirrored=True, to_partner=True
    ),
    "key.revoked": Action("A partner's signing key was revoked as compromised.", mirrored=True, to_partner=True),
    "ledger.key-rotated": Action("The ledger got a new key to sign checkpoints with; holds the vkey."),
    "ledger.minimum-raised": Action(
        "The oldest leaves were parted with after their files were checked: entries below the minimum index are gone.",
        mirrored=True,
    ),
    "ledger.row-unreadable": Action("An outbox row was no event of ours; holds its SHA-256 and its length."),
    "legal-hold.lifted": Action("A legal hold on a signal was lifted: it is purged when its time comes."),
    "legal-hold.placed": Action(
        "A signal was put under legal hold: it is not purged until the hold is lifted.", mirrored=True
    ),
    "membership.accountability-changed": Action(
        "Who answers for a member, its lawful basis or its jurisdictions changed; contacts as commitments only.",
        to_partner=True,
    ),
    "membership.began": Action("A partner joined a programme, or joined it again.", to_partner=True),
    "membership.changed": Action(
        "What a member may do, its training or its agreement changed.", mirrored=True, to_partner=True
    ),
    "membership.ended": Action(
        "A partner left a programme; its members' copies must be erased.", mirrored=True, to_partner=True
    ),
    "membership.resumed": Action("A suspended membership was resumed.", to_partner=True),
    "membership.suspended": Action(
        "A membership was suspended: no pages, no deliveries.", mirrored=True, to_partner=True
    ),
    "notices.disclosed": Action(
        "A partner was told notices, recalls included: one minute's, with the Merkle root of their disclosures.",
        to_partner=True,
    ),
    "notices.forgotten": Action("Notices of long ago were dropped.", to_partner=True),
    "partner.changed": Action("A partner's record was changed.", to_partner=True),
    "partner.enrolled": Action("A partner was enrolled.", to_partner=True),
    "partner.left": Action("A partner left the hub.", mirrored=True, to_partner=True),
    "partner.limits-changed": Action(
        "How much a partner may ask of the hub was changed.", mirrored=True, to_partner=True
    ),
    "partner.probation-began": Action("A partner was put on probation: its signals wait for a person.", mirrored=True),
    "partner.probation-ended": Action("A partner's probation ended."),
    "partner.resumed": Action("A suspended partner was resumed.", to_partner=True),
    "partner.suspended": Action("A partner was suspended in every programme.", mirrored=True, to_partner=True),
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
    "signal.restricted": Action("Disputed signals moved in the feed: their permitted action falls to investigate."),
    "signal.restriction-lifted": Action(
        "Signals that were disputed moved in the feed: they may be acted on as before."
    ),
    "signal.revised": Action("A signal got a new revision by its author."),
    "signal.ruled": Action(
        "An analyst disputed or refuted a signal, lifted its dispute, or took that back; holds the reason code.",
        mirrored=True,
    ),
    "signal.standing": Action("A signal was weighed: its standing and how many hold what of it and did what about it."),
    "signal.weighed": Action("Signals moved in the feed because their standing changed."),
    "signal.widened": Action("A signal's audience was widened by a later routing."),
    "signal.withdrawn": Action("A signal was withdrawn by its author.", mirrored=True),
    "staff.account-created": Action("A staff account was made."),
    "staff.password-changed": Action("A member of staff changed their password.", mirrored=True),
    "staff.password-renewed": Action("A staff account got a new one-time password.", mirrored=True),
    "staff.recovery-code-used": Action(
        "A member of staff proved who they are by a recovery code, which is gone.", mirrored=True
    ),
    "staff.recovery-codes-made": Action(
        "A member of staff got new recovery codes, or none; the old ones count no more.", mirrored=True
    ),
    "staff.roles-changed": Action("A staff account's roles changed.", mirrored=True),
    "staff.second-factor-added": Action("A member of staff added a second factor; holds its kind."),
    "staff.second-factor-failed": Action(
        "A second factor was wrong: the first, tenth, hundredth… failure of an account within a minute."
    ),
    "staff.second-factor-removed": Action(
        "A member of staff removed a second factor of their own; holds its kind.", mirrored=True
    ),
    "staff.second-factors-reset": Action(
        "All second factors of a staff account were removed by others: it enrols anew.", mirrored=True
    ),
    "staff.sign-in-failed": Action(
        "Signing in to the admin failed: the first, tenth, hundredth… failure of an account within a minute."
    ),
    "staff.sign-on-linked": Action(
        "A member of staff linked an identity at the identity provider to their account.", mirrored=True
    ),
    "staff.sign-on-unlinked": Action("No identity at the identity provider opens a staff account now.", mirrored=True),
    "staff.signed-in": Action(
        "A member of staff signed in to the admin; holds the way and the kind of the second factor."
    ),
    "staff.signed-out": Action("A member of staff signed out of the admin, or their session came to its end."),
    "staff.stepped-up": Action("A member of staff proved anew who they are, before something dangerous."),
    "staff.switched-off": Action("A staff account was switched off: it opens nothing any more.", mirrored=True),
    "staff.switched-on": Action("A staff account was switched on again, with a new one-time password."),
    "statement.accepted": Action("A statement was verified and accepted.", to_partner=True),
    "statement.held": Action("A statement was verified and held for review.", to_partner=True),
    "statement.refused": Action("A statement was refused; holds the stable code.", to_partner=True),
    "statement.undone": Action("Withdrawals and routings signed with a fallen key count no more; holds their number."),
    "submission.received": Action(
        "A batch of statements was accepted durably, before anything else was done with it.", to_partner=True
    ),
    "value.revealed": Action("A member of staff was shown an indicator's value in full."),
    "value.searched": Action("A member of staff searched for an indicator's value."),
    "vault.key-rotated": Action("A key-encryption or index key of the vault was rotated."),
    "vault.period-destroyed": Action(
        "A month's data keys were destroyed: what they sealed is gone, in backups too.", mirrored=True
    ),
    "warning-list.imported": Action("A list of known-benign values was imported."),
    "warning-list.removed": Action("A list of known-benign values was removed."),
}


def as_markdown() -> str:
    """The registry as docs/ledger-actions.md; `manage.py write_ledger_actions` writes it, a test holds it to this."""
    lines = [
        "# Actions of the ledger",
        "",
        "Every leaf of the ledger names one of these actions; there are no others. *Mirrored* ones are copied outside",
        "the database too and applied again after a restore, because a backup would give back what they took away.",
        "*To its partner*: the partner that such a leaf mentions may fetch it with its proof, if it mentions no other.",
        "",
        "This page is written by `manage.py write_ledger_actions` from `hub/ledger/actions.py`.",
    ]
    for heading in GROUPS:
        rows = [(name, ACTIONS[name]) for name in sorted(ACTIONS) if group_of(name) == heading]
        lines += ["", f"## {heading}", "", "| action | meaning | mirrored | to its partner |", "|---|---|---|---|"]
        for name, action in rows:
            marks = ("yes" if marked else "" for marked in (action.mirrored, action.to_partner))
            lines.append(f"| `{name}` | {action.meaning} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"
