"""Host names and URLs as browsers read them (WHATWG URL, UTS-46), so that a host means one thing in every type."""

from __future__ import annotations

import re

import ada_url

from signals.core.refusals import InvalidIndicator

MAX_URL = 2048

_LABEL = re.compile(
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)  # underscores: not in registered names, but in real hosts
_NOT_IN_A_HOST = re.compile(r"[\s/\\?#@:%\[\]<>^|]")
_URL_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z]+):(?P<slashes>[/\\]*)(?:[^/\\?#]*@)?"
    r"(?P<host>[^/\\?#]*?)(?P<port>:[0-9]*)?(?P<rest>[/\\?#].*)?"
)
_DOT_SEGMENT = re.compile(r"[/\\](?:\.|%2e){1,2}(?=[/\\]|\Z)", re.IGNORECASE)


def read_host(text: str) -> str:
    """Return a domain name in lower-case ASCII without a final dot. Raises `InvalidIndicator`; never an IP address."""
    if "[.]" in text or "(dot)" in text.lower():
        raise InvalidIndicator("The domain is defanged; send it as it is, without brackets.")
    if "://" in text:
        raise InvalidIndicator("This is a URL; give its host alone, or use the type url.")
    if "*" in text:
        raise InvalidIndicator("A wildcard is not a domain; give the domain itself.")
    if _NOT_IN_A_HOST.search(text):
        raise InvalidIndicator("A domain has no port, path, spaces, @ or brackets.")
    try:
        parsed = ada_url.URL(f"https://{text}/")
    except ValueError:
        raise InvalidIndicator("This is not a domain name under UTS-46.") from None
    if parsed.host_type != ada_url.HostType.DEFAULT:
        raise InvalidIndicator("This is an IP address, not a domain.")
    return checked_name(parsed.hostname)


def checked_name(host: str) -> str:
    """Check a parsed name's labels and lengths (RFC 1035 §2.3.4), dropping one final dot. Raises `InvalidIndicator`."""
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(labels) < 2:
        raise InvalidIndicator("The host needs at least one dot: a bare name means nothing outside its own network.")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidIndicator(
            "The host is not a domain name: labels of 1 to 63 letters, digits and hyphens, 253 in all."
        )
    if labels[-1].isdigit():
        raise InvalidIndicator("The host ends in a number and is not an IP address either.")
    if not all(_is_real_label(label) for label in labels):
        raise InvalidIndicator("The host has a label that begins with xn-- and is not Punycode for any name.")
    return name


def read_url(text: str) -> tuple[str, list[str]]:
    """Return a URL as the WHATWG standard writes it, without credentials and fragment, and sentences on what changed.

    http and https only, at most 2,048 characters. Raises `InvalidIndicator`.
    """
    parts = _URL_PARTS.fullmatch(text)
    if parts is None:
        raise InvalidIndicator("This is not a URL; it must begin with http:// or https://.")
    scheme = parts["scheme"].lower()
    if scheme in ("hxxp", "hxxps") or "[.]" in text.split("?", maxsplit=1)[0]:
        raise InvalidIndicator("The URL is defanged; send it as it is, without hxxp and brackets.")
    if scheme not in ("http", "https"):
        raise InvalidIndicator("The URL must begin with http:// or https://.")
    try:
        url = ada_url.URL(text)
        changes = _drop_private_parts(url)
        if url.host_type == ada_url.HostType.DEFAULT:
            name = checked_name(url.hostname)
            if name != url.hostname:
                url.hostname = name
                changes.append("The final dot of the host was dropped.")
        value: str = url.href
        settled = ada_url.URL(value).href == value
    except ValueError:
        raise InvalidIndicator("A browser could not read this URL.") from None
    if not settled or len(value) > MAX_URL:
        raise InvalidIndicator(f"The URL is longer than {MAX_URL} characters once written out, or does not settle.")
    return value, changes + _rewritings(parts, url)


def _drop_private_parts(url: ada_url.URL) -> list[str]:
    changes = []
    if url.username or url.password:
        url.username = url.password = ""
        changes.append("The user name and password were dropped.")
    if "#" in url.href:
        url.hash = ""
        changes.append("The fragment was dropped.")
    return changes


def _rewritings(parts: re.Match[str], url: ada_url.URL) -> list[str]:
    """Say in sentences what the parser wrote differently from the author."""
    changes = []
    host, port, rest = parts["host"], parts["port"] or "", (parts["rest"] or "").split("#")[0]
    if port and not url.port:
        changes.append("The default port was dropped.")
    written = f"{parts['scheme']}:{parts['slashes']}{host}"
    plain = f"{url.protocol}//{url.hostname}"
    if written.removesuffix(".") != plain:
        same_letters = written.removesuffix(".").lower() == plain
        changes.append(
            "Scheme and host were written in lower case."
            if same_letters
            else "Scheme and host were written as browsers do (lower case, ASCII by UTS-46)."
        )
    path = rest.split("?")[0]
    if not path:
        changes.append("The empty path was written as /.")
    elif _DOT_SEGMENT.search(path):
        changes.append("Dot segments of the path were resolved.")
    elif rest != url.pathname + url.search and rest != url.pathname + url.search + "?":
        changes.append("Path and query were written as browsers do (percent-encoding, slashes).")
    return changes


def _is_real_label(label: str) -> bool:
    """Tell whether an xn-- label is what its own Unicode form is written as; other labels are always real."""
    if not label.startswith("xn--"):
        return True
    try:
        shown = label[4:].encode("ascii").decode("punycode")
        return bool(ada_url.idna_to_ascii(shown) == label.encode("ascii"))
    except (ValueError, OverflowError):
        return False
