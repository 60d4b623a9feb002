"""Where the command finds the hub, the API key and the signing key: the environment first, then a profile file."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heliograph_client import keys
from heliograph_client.hub import HubClient
from heliograph_client.trust import FetchKeys, PinnedKeys, Policy

SETTINGS: Final = {
    "url": "the hub's address, https://…",
    "api_key": "the API key; better in a file named by api_key_file",
    "api_key_file": "a file that holds the API key",
    "key": "the private signing key's file (default: signing-key.pem in the home)",
    "key_passphrase": "its passphrase, if it has one; better in key_passphrase_file",
    "key_passphrase_file": "a file that holds the passphrase",
    "partner": "our own slug at the hub: `iss` of every statement",
    "hub_id": "the hub's id: `aud` of every statement; its operator tells it",
    "programme": "the programme, where a command is not told one",
    "webhook_secret": "the endpoint's whsec_… (two, with a space between, while rotating)",
    "trust": "first-use (pin a partner's keys when first met) or confirm (every key waits for a person)",
    "ca_file": "certificates to trust instead of the system's",
}


class ProfileProblem(Exception):
    """A setting is missing or nonsense; the sentence says which one and where it can be set."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The settings in force. `home` keeps the copy, the pinned keys and, unless told otherwise, the signing key."""

    home: Path
    settings: Mapping[str, str]

    def need(self, name: str) -> str:
        """A setting that this command cannot do without."""
        if self.settings.get(name):
            return self.settings[name]
        where = f"set HELIOGRAPH_{name.upper()}, or {name} in {self.home}/profile.json"
        raise ProfileProblem(f"{name} is not set ({SETTINGS[name]}): {where}")

    def programme(self, given: str | None) -> str:
        """The programme of this command."""
        return given or self.need("programme")

    @property
    def key_path(self) -> Path:
        """The signing key's file."""
        return Path(self.settings.get("key") or self.home / "signing-key.pem").expanduser()

    @property
    def passphrase(self) -> str | None:
        """The signing key's passphrase, if one is set."""
        return self._secret("key_passphrase")

    @property
    def store_path(self) -> Path:
        """The local copy's file."""
        return self._in_home("copy.db")

    @property
    def pins_path(self) -> Path:
        """The pinned keys' file."""
        return self._in_home("pinned-keys.json")

    @property
    def ledger_folder(self) -> Path:
        """What we remember of the hub's ledger: whom we believe, and the last checkpoint."""
        return self._in_home("ledger")

    def witness_file(self, name: str) -> Path:
        """A file of our witness, in its own folder: its key, its vkey, and what it cosigned."""
        folder = self._in_home("witness")
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / name

    def signing_key(self) -> keys.SigningKey:
        """Our signing key."""
        return keys.load(self.key_path, passphrase=self.passphrase)

    def hub(self, *, on_wait: Callable[[float, str], None] | None = None) -> HubClient:
        """The hub, asked with our API key; `on_wait` hears of every pause that the hub asks for."""
        api_key = self._secret("api_key")
        if api_key is None:
            self.need("api_key")
        return HubClient(self.need("url"), api_key, ca_file=self.settings.get("ca_file") or None, on_wait=on_wait)

    def pinned_keys(self, *, fetch: FetchKeys | None = None) -> PinnedKeys:
        """The keys we believe; alerts about them go to standard error."""
        policy: Policy = "confirm" if self.settings.get("trust", "first-use") == "confirm" else "first-use"
        return PinnedKeys(
            self.pins_path,
            policy=policy,
            fetch=fetch,
            on_alert=lambda alert: print(f"KEYS {alert}", file=sys.stderr),
            hub_id=self.settings.get("hub_id") or None,
        )

    def webhook_secrets(self) -> list[str]:
        """The endpoint's secrets, old and new while one is being rotated."""
        return self.need("webhook_secret").split()

    def _secret(self, name: str) -> str | None:
        if self.settings.get(name):
            return self.settings[name]
        path = self.settings.get(f"{name}_file")
        if not path:
            return None
        try:
            return Path(path).expanduser().read_text().strip()
        except OSError as error:
            raise ProfileProblem(f"{name}_file cannot be read: {error.strerror}") from error

    def _in_home(self, name: str) -> Path:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.home / name


def read_profile(environment: Mapping[str, str], *, path: Path | None = None) -> Profile:
    """The profile: HELIOGRAPH_<SETTING> over the file's settings. `ProfileProblem` for a file we cannot make out."""
    home = Path(environment.get("HELIOGRAPH_CLIENT_HOME") or "~/.heliograph").expanduser()
    found = path or next((home / name for name in ("profile.toml", "profile.json") if (home / name).exists()), None)
    settings = _read_file(found) if found is not None else {}
    for name in SETTINGS:
        value = environment.get(f"HELIOGRAPH_{name.upper()}")
        if value:
            settings[name] = value
    if settings.get("trust", "first-use") not in {"first-use", "confirm"}:
        raise ProfileProblem("trust is first-use or confirm")
    return Profile(home, settings)


def _read_file(path: Path) -> dict[str, str]:
    try:
        text = path.read_text()
        document = _toml(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise ProfileProblem(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ProfileProblem(f"{path} is not readable {path.suffix.lstrip('.') or 'JSON'}") from error
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise ProfileProblem(f"{path} holds settings and their texts, nothing else")
    unknown = sorted(set(document) - set(SETTINGS))
    if unknown:
        raise ProfileProblem(f"{path}: {unknown[0]} is no setting; there are {', '.join(SETTINGS)}")
    return document


def _toml(text: str) -> object:
    try:
        document: object = importlib.import_module("tomllib").loads(text)
    except ModuleNotFoundError as error:
        raise ProfileProblem("a TOML profile needs Python 3.11; write profile.json instead") from error
    return document


def current_profile(path: Path | None) -> Profile:
    """The profile of this process."""
    return read_profile(os.environ, path=path)
