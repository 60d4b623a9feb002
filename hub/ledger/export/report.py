"""The page for a lawyer: what was asked, what it rests on, how to check it, and the numbers as drawings. Pure.

One file without script and without anything from elsewhere, for the screen and for paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from hub.ledger.export import charts
from hub.ledger.export.query import Kind, Query
from hub.ledger.export.tally import DELAYS, Tally
from hub.ledger.export.views import meaning

_DAYS = 92  # drawn one by one; of a longer time the months are
_MOST = 25  # bars of one drawing; the rest is one bar

_STYLE = """
body{font:15px/1.5 Georgia,'Times New Roman',serif;color:#1a1a1a;max-width:760px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin-bottom:.2em}h2{font-size:1.15em;border-bottom:1px solid #999;margin-top:2em}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.25em .75em .25em 0;
border-bottom:1px solid #ddd}td.number{text-align:right;font-variant-numeric:tabular-nums}
code{font:12px ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.chart{max-width:100%;height:auto;font:12px Helvetica,Arial,sans-serif}.chart rect{fill:#33658a}
.chart line{stroke:#666}.chart text{fill:#1a1a1a}.quiet{color:#555}
@media print{body{margin:0;max-width:none;font-size:11pt}h2{break-after:avoid}section,tr,svg{break-inside:avoid}}
"""

_WHAT_IT_IS = (
    "Made from the entries of this bundle. The entries and their proofs are the evidence; this page explains them."
    " VERIFY.md says how to check both without trusting whoever handed them over."
)
_PROVES = {
    Kind.COMPLETE: (
        "This bundle holds every entry of the ledger within the span, whether it was asked for or not. Whoever verifies"
        " it applies the filters again, so an entry that meets them cannot have been left out."
    ),
    Kind.FILTERED: (
        "This bundle holds only the entries that were asked for. Each is proven to stand in the ledger. That none was"
        " left out shows only where entries about one subject are numbered without a gap; the verifier says where."
    ),
}


@dataclass(frozen=True, slots=True)
class Cover:
    """What the page says before its numbers."""

    hub: str
    query: Query
    size: int
    root: str  # hex
    facts: Sequence[tuple[str, str]]  # who asked, when, why: words for people
    counts: Mapping[str, int]


def report(cover: Cover, tally: Tally) -> str:
    """The page."""
    title = f"Ledger of {cover.hub}: {cover.query.kind.value}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">{_WHAT_IT_IS}</p>',
        _section("What was asked for", _table(cover.query.sentences())),
        _section("Who asked, and when", _table(cover.facts)),
        _section("What it rests on", _table(_rests_on(cover)) + f"<p>{escape(_PROVES[cover.query.kind])}</p>"),
        *_numbers(tally),
        _section("What the actions mean", _meanings(tally)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _rests_on(cover: Cover) -> list[tuple[str, str]]:
    counts = cover.counts
    return [
        ("Entries in the bundle", f"{counts['entries']:,}"),
        ("Of them as asked for", f"{counts['matching']:,}"),
        ("Values opened", f"{counts['opened']:,}"),
        ("Ledger at its checkpoint", f"{cover.size:,} entries"),
        ("Root hash", cover.root),
    ]


def _numbers(tally: Tally) -> list[str]:
    if not tally.total:
        return [_section("Volumes", "<p>No entry was asked for that is there.</p>")]
    sections = [
        ("Entries over time", charts.columns(_over_time(tally.days), title="Entries over time")),
        ("Entries by action", _bars(tally.actions, "Entries by action")),
        ("Refused statements by code", _bars(tally.refusals, "Refused statements by code")),
        ("Decisions", _bars(tally.decisions, "Decisions")),
        ("Disclosures by partner: entries handed over", _bars(tally.disclosed, "Entries handed over, by partner")),
        ("Disclosures by partner: leaves that say so", _bars(tally.disclosures, "Leaves of disclosures, by partner")),
        ("By whom", _bars(tally.actors, "Entries by actor")),
        ("From what happened to its entry", _delays(tally)),
    ]
    return [_section(title, drawn) for title, drawn in sections]


def _delays(tally: Tally) -> str:
    words = [f"within {bound:g} s" for bound in DELAYS] + [f"later than {DELAYS[-1]:g} s"]
    drawn = charts.lines(list(zip(words, tally.delays, strict=True)), title="Time until an event is an entry")
    shares = []
    for share in (0.5, 0.99):
        bound = tally.within(share)
        took = f"within {bound:g} s" if bound is not None else f"in more than {DELAYS[-1]:g} s"
        shares.append(f"{share:.0%} {took}")
    return drawn + f"<p>{' · '.join(shares)}.</p>"


def _over_time(days: Mapping[str, int]) -> list[tuple[str, int]]:
    if len(days) <= _DAYS:
        return sorted(days.items())
    months: dict[str, int] = {}
    for day, count in sorted(days.items()):
        months[day[:7]] = months.get(day[:7], 0) + count
    return list(months.items())


def _bars(counts: Mapping[str, int], title: str) -> str:
    if not counts:
        return "<p>None.</p>"
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown, rest = ordered[:_MOST], ordered[_MOST:]
    if rest:
        shown.append((f"{len(rest)} others", sum(count for _, count in rest)))
    return charts.lines(shown, title=title)


def _meanings(tally: Tally) -> str:
    rows = [(action, meaning(action) or "An action of another version.") for action in sorted(tally.actions)]
    return _table(rows)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return (
        "<table>"
        + "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
        + "</table>"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"
