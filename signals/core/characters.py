"""Text as people mean it: which characters an indicator may hold at all, and Unicode's compatibility folding."""

from __future__ import annotations

import re
import unicodedata

from signals.core.refusals import InvalidIndicator

_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # controls
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls: they show one thing and mean another
    "\u2028\u2029\ufff9-\ufffd"  # line separators, annotations, and the mark that an earlier decoding failed
    "\ud800-\udfff\ufdd0-\ufdef"  # surrogates and noncharacters
    + "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
    + "]"
)

# Default_Ignorable_Code_Point (Unicode 15) without the bidirectional controls above: they change nothing one can see.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def trimmed(text: str, *, longest: int) -> str:
    """Drop surrounding white space; refuse the empty, the overlong, and characters that no honest indicator holds."""
    stripped = text.strip()
    if not stripped:
        raise InvalidIndicator("The value is empty.")
    if len(stripped) > longest:
        raise InvalidIndicator(f"The value has {len(stripped)} characters; {longest} are allowed.")
    if found := _FORBIDDEN.search(stripped):
        raise InvalidIndicator(f"The value holds the character U+{ord(found[0]):04X}, which is not allowed.")
    return stripped


def has_invisible(text: str) -> bool:
    """Tell whether the text holds characters that cannot be seen (zero-width, variation selectors, fillers)."""
    return _INVISIBLE.search(text) is not None


def normalised(text: str, *, casefold: bool, longest: int) -> str:
    """Write text in NFKC without invisible characters, white space collapsed, and case-folded if asked.

    With `casefold` this is toNFKC_Casefold of the Unicode Standard (§3.13, R5) on words joined by single spaces.
    """
    current = text
    for _ in range(8):  # each step can give the others new work (NFKC turns a lone diaeresis into a space and a mark)
        step = _INVISIBLE.sub("", unicodedata.normalize("NFKC", current))
        if casefold:
            step = step.casefold()
        step = " ".join(unicodedata.normalize("NFKC", step).split())
        if step == current:
            return trimmed(current, longest=longest)
        current = step
    raise InvalidIndicator("The value does not settle under Unicode normalisation.")
