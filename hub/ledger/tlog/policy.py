"""Whom to believe (C2SP tlog-policy): which logs, which witnesses, and how many of them a checkpoint needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hub.ledger.tlog.checkpoint import Checkpoint, NotACheckpoint, from_decimal
from hub.ledger.tlog.kinds import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44, ED25519
from hub.ledger.tlog.note import BadSignature, NotANote, Note, NoteKey, open_note

_OF_LOGS = (ED25519, COSIGNATURE_ML_DSA_44)
_OF_WITNESSES = (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44)
_NONE = "none"


class NotAPolicy(ValueError):
    """The text is no policy; the message says which line is at fault."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is believed, and where it is."""

    key: NoteKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness under the name that the policy gives it; `url` is its submission prefix (C2SP tlog-witness)."""

    name: str
    key: NoteKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy makes of a checkpoint: by which log, cosigned by whom and when, and why not if it is not met."""

    is_met: bool
    log: NoteKey | None
    cosigned: tuple[tuple[str, int], ...]
    """(witness's name in the policy, POSIX seconds), in the policy's order."""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The parsed policy. `groups` gives each group's threshold and members, which are witnesses or earlier groups."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    quorum: str = _NONE

    def is_met_by(self, checkpoint: Note | bytes, *, log: NoteKey | None = None) -> Verdict:
        """What the policy makes of a checkpoint's note; `log` is one more that the caller believes.

        A line of a known key that the key did not make sinks the checkpoint, as C2SP signed-note advises. Times are
        taken as they are said: who has a clock judges how old they are. Raises nothing.
        """
        try:
            note = open_note(checkpoint) if isinstance(checkpoint, bytes) else checkpoint
            head = Checkpoint.parse(note.text)
            cosigned = tuple(
                (witness.name, witness.key.check(note) or 0)
                for witness in self.witnesses
                if any(witness.key.made(line) for line in note.signatures)
            )
            known = [entry.key for entry in self.logs] + ([log] if log else [])
            signed = [key for key in known if any(key.made(line) for line in note.signatures)]
            for key in signed:
                key.check(note)
        except (NotANote, NotACheckpoint, BadSignature) as error:
            return Verdict(False, None, (), str(error))
        signer = next((key for key in signed if key.name == head.origin), None)
        if signer is None:
            return Verdict(False, None, cosigned, f"No log that the policy knows has signed as {head.origin}.")
        if not self.is_quorum({name for name, _ in cosigned}):
            return Verdict(False, signer, cosigned, f"{len(cosigned)} witnesses cosigned, which is no quorum.")
        return Verdict(True, signer, cosigned)

    def is_quorum(self, witnesses: set[str]) -> bool:
        """Whether these witnesses, by name, are enough."""
        present = set(witnesses)
        for name, (threshold, members) in self.groups.items():  # each only names what stands before it
            if sum(member in present for member in members) >= threshold:
                present.add(name)
        return self.quorum == _NONE or self.quorum in present


def parse(text: str | bytes) -> Policy:
    """The policy that this text is; raises NotAPolicy with the number of the line at fault."""
    encoded = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    reader = _Reader()
    for number, line in enumerate(encoded.split(b"\n"), start=1):
        try:
            if any((octet < 0x20 and octet != 0x09) or octet == 0x7F for octet in line):
                raise ValueError("It has a control character.")
            words = line.decode("utf-8", "surrogateescape").replace("\t", " ").split(" ")
            reader.read([word for word in words if word])
        except ValueError as error:
            raise NotAPolicy(f"Line {number} of the policy: {error}") from None
    if reader.quorum is None:
        raise NotAPolicy("The policy has no quorum line.")
    return Policy(tuple(reader.logs), tuple(reader.witnesses), reader.groups, reader.quorum)


class _Reader:
    """What has been read so far."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.witnesses: list[Witness] = []
        self.groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.quorum: str | None = None
        self.names = {_NONE}
        self.members: set[str] = set()

    def read(self, words: Sequence[str]) -> None:
        """Take one line in; raises ValueError."""
        match words:
            case []:
                pass
            case [first, *_] if first.startswith("#"):
                pass
            case ["log", vkey] | ["log", vkey, _]:
                key = _key(vkey, _OF_LOGS, [log.key for log in self.logs])
                self.logs.append(Log(key, *words[2:]))
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                key = _key(vkey, _OF_WITNESSES, [witness.key for witness in self.witnesses])
                self._name(name)
                self.witnesses.append(Witness(name, key, *words[3:]))
            case ["group", name, threshold, *members] if members:
                self._group(name, threshold, members)
            case ["quorum", name]:
                if self.quorum is not None:
                    raise ValueError("A policy has one quorum line.")
                if name not in self.names:
                    raise ValueError("A quorum is a witness or a group of an earlier line, or none.")
                self.quorum = name
            case _:
                raise ValueError("It is no log, witness, group or quorum line.")

    def _group(self, name: str, threshold: str, members: Sequence[str]) -> None:
        for member in members:
            if member not in self.names or member == _NONE:
                raise ValueError("A group's members are witnesses and groups of earlier lines.")
            if member in self.members:
                raise ValueError("A witness or group is a member only once.")
            self.members.add(member)
        count = {"any": 1, "all": len(members)}.get(threshold)
        count = from_decimal(threshold) if count is None else count
        if not 1 <= count <= len(members):
            raise ValueError("A group asks for at least one of its members and at most all.")
        self._name(name)
        self.groups[name] = (count, tuple(members))

    def _name(self, name: str) -> None:
        if name in self.names:
            raise ValueError("It gives a name a second time.")
        self.names.add(name)


def _key(vkey: str, kinds: Sequence[int], known: Sequence[NoteKey]) -> NoteKey:
    key = NoteKey.parse(vkey)
    if key.kind not in kinds:
        raise ValueError("A key of this type does not sign such things.")
    if any(other.public == key.public for other in known):
        raise ValueError("It lists a public key a second time.")
    return key
