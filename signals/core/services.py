"""How the large services treat user names, and which domain stands for each: a small table with a cautious default."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from signals.core.hosts import read_host


@dataclass(frozen=True, slots=True)
class ServiceRule:
    """What is known of one service's user names."""

    is_case_sensitive: bool
    prefixes: tuple[str, ...] = ("@",)  # written before a name by custom, not part of it


UNKNOWN = ServiceRule(is_case_sensitive=True)
"""For any service not listed. Case is kept: to miss a match costs less than to name another person's account."""

_FOLDING = ServiceRule(is_case_sensitive=False)

SERVICES: dict[str, ServiceRule] = {
    "bsky.app": _FOLDING,
    "discord.com": _FOLDING,
    "facebook.com": _FOLDING,
    "github.com": _FOLDING,
    "instagram.com": _FOLDING,
    "kik.com": _FOLDING,
    "linkedin.com": _FOLDING,
    "pinterest.com": _FOLDING,
    "reddit.com": ServiceRule(is_case_sensitive=False, prefixes=("/u/", "u/", "@")),
    "roblox.com": _FOLDING,
    "snapchat.com": _FOLDING,
    "telegram.org": _FOLDING,
    "tiktok.com": _FOLDING,
    "tumblr.com": _FOLDING,
    "twitch.tv": _FOLDING,
    "x.com": _FOLDING,
    "youtube.com": _FOLDING,
}

ALIASES: dict[str, str] = {
    "discord.gg": "discord.com",
    "discordapp.com": "discord.com",
    "fb.com": "facebook.com",
    "t.me": "telegram.org",
    "telegram.me": "telegram.org",
    "twitter.com": "x.com",
    "youtu.be": "youtube.com",
}


@lru_cache(maxsize=1024)  # the same few services come with every name
def read_service(text: str) -> str:
    """Return the domain that stands for a service: read as any domain, `www.` and known other names replaced."""
    name = read_host(text.strip())
    if name.count(".") > 1:
        name = name.removeprefix("www.")
    return ALIASES.get(name, name)


def rule_of(service: str) -> ServiceRule:
    """Return what is known of a service's user names."""
    return SERVICES.get(service, UNKNOWN)
