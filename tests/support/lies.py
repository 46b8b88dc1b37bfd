"""A model that lies about a case in every way that can be generated from it, and one that tells the truth.

Both read the case file as a model does: facts, and what stands between span markers. Each lie is a whole answer with
one falsehood in it and true claims beside it, and says what must not be found in what the gate leaves.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from support.simulated import Simulated

from analyzer.agent.facts import number
from analyzer.agent.text import find_verbatim, text_of
from analyzer.types.diagnosis import Verdict
from analyzer.types.report import Incident, Kind, MetricEvidence
from analyzer.types.trace import TEXT_FIELDS

_SECTION = r'<trajectory:{mark} id="([0-9a-f]+)"[^>]*>\n(.*?)\n</trajectory:{mark}>'
_BLOCK = r'<span:{mark} id="([0-9a-f]+)" field="(\w+)"[^\n]*>\n(.*?)\n</span:{mark}>'
LOOKALIKES = str.maketrans("aeopcxi", "аеорсхі")  # noqa: RUF001 - letters of another script are the point
WIDE = {ord("0") + digit: chr(0xFF10 + digit) for digit in range(10)}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Text that may be quoted."""

    trace_id: str
    span_id: str
    field: str
    text: str
    step: int
    """0: what stands before the first one."""


@dataclass(frozen=True, slots=True)
class Lie:
    """One falsehood."""

    sort: str
    text: str
    """What must not stand in the report."""
    claims: tuple[dict[str, Any], ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the answer: summary, cause, responsible, ..."""


def stretches(one: Simulated) -> list[Stretch]:
    """Return what the case file shows verbatim: of affected trajectories first, and of them what steps did."""
    found = []
    steps = {step.span_id: step.number for each in one.held.values() for step in each.steps}
    section, block = (re.compile(form.format(mark=one.case.markers.mark), re.DOTALL) for form in (_SECTION, _BLOCK))
    told = [(trace_id, *part) for trace_id, inside in section.findall(one.case.text) for part in block.findall(inside)]
    for trace_id, span_id, name, body in told:
        lines = [line.strip()[:90] for line in body.splitlines() if len("".join(line.split())) >= 16]
        lines = [line for line in lines if "⟨" not in line and re.search(r"[A-Za-z]{4}", line)]
        # A clipped line may end inside a word: whole words are what a model would copy.
        found += [Stretch(trace_id, span_id, name, _whole(line), steps.get(span_id, 0)) for line in lines[:2]]
    affected = {each.summary.trace_id for each in one.case.trajectories}
    return sorted(found, key=lambda each: (each.trace_id not in affected, each.step == 0 or each.field == "system"))


def quote(place: Stretch, text: str | None = None, **changes: str) -> dict[str, Any]:
    """Return a quote as a model gives it."""
    entry = {"kind": "quote", "trace_id": place.trace_id, "span_id": place.span_id, "field": place.field}
    return entry | {"quote": place.text if text is None else text} | changes


def claim(text: str, *evidence: dict[str, Any], decisive: bool = False) -> dict[str, Any]:
    """Return a claim as a model gives it."""
    return {"text": text, "decisive": decisive, "evidence": list(evidence)}


def fact(one: Simulated) -> dict[str, Any]:
    """Return a reference to the first metric on file, or else to the first quote."""
    filed = sorted(one.incident.evidence, key=lambda entry: not isinstance(entry, MetricEvidence))
    return {"kind": "fact", "id": filed[0].id}


def answer(claims: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """Return an answer that says nothing beyond its claims."""
    base = {
        "summary": "It got worse.",
        "cause": "See the claims.",
        "category": "unknown",
        "refutation": "",
        "claims": claims,
        "responsible": None,
        "actions": [],
        "check": "",
        "missing": "",
    }
    return base | changes


def truth(one: Simulated) -> list[dict[str, Any]]:
    """Return two plain true claims: a quote, and the fact."""
    place = stretches(one)[0]
    return [claim(f'It reads "{place.text}".', quote(place), decisive=True), claim("It rose.", fact(one))]


def got_through(one: Simulated, lie: Lie) -> bool:
    """Whether anything of a lie is left in the report, or true claims beside it were lost, or it was not counted."""
    claims = list(lie.claims) if lie.sort in _WHOLE else [*lie.claims, *truth(one)]
    gated = one.judge(answer(claims, **lie.changes))
    diagnosis = gated.diagnosis
    if lie.sort == "category against the account":
        return diagnosis.verdict is not Verdict.INCONCLUSIVE or diagnosis.category != "unknown"
    if len(gated.struck) != 1 or diagnosis.struck_out != 1 or len(diagnosis.claims) != len(truth(one)):
        return True
    if lie.sort == "responsible step":
        said, kept = lie.changes["responsible"], diagnosis.responsible
        named = {} if kept is None else {name: getattr(kept, name) for name in said}
        return named == said
    return lie.text in " ".join([diagnosis.summary, diagnosis.cause, *(kept.text for kept in diagnosis.claims)])


_WHOLE = frozenset({"category against the account", "responsible step"})
"""Sorts whose claims are true, and all that the answer has."""


def lies(one: Simulated) -> Iterator[Lie]:
    """Yield every lie about a case."""
    rng = random.Random(one.incident.id)  # noqa: S311 - the same lies each time
    yield from _of_quotes(one, rng)
    yield from _of_places(one)
    yield from _of_names(one)
    yield from _of_numbers(one)
    yield from _of_relations(one)
    yield from _of_times_and_steps(one)
    yield from _of_subjects(one)
    yield from _of_signs(one)
    yield from _of_metrics(one)
    yield from _of_the_responsible(one)


def _of_quotes(one: Simulated, rng: random.Random) -> Iterator[Lie]:
    for place in stretches(one)[:5]:
        words = place.text.split()
        middle = len(place.text) // 2
        altered = {
            "one character": _one_character(place.text, rng),
            "a word left out": " ".join(words[:1] + words[2:]),
            "letter case": place.text.swapcase(),
            "an ellipsis": f"{place.text[:middle]}...{place.text[middle + 3 :]}",
            "letters that look alike": place.text.translate(LOOKALIKES),
            "a hidden character": f"{place.text[:middle]}\u200b{place.text[middle:]}",
            "digits of another width": place.text.translate(WIDE),
            "a word added": " ".join([*words[:1], "definitely", *words[1:]]),
            "not left out": re.sub(r"\bnot ", "", place.text),
            "curly for straight": place.text.replace('"', "”").replace("'", "’"),  # noqa: RUF001 - quotation marks
        }
        for sort, text in altered.items():
            if not _stands(one, place, text):
                said = f"Altered, {sort}: it says so."
                yield Lie(f"altered quote: {sort}", said, (claim(said, quote(place, text)),))
    places = stretches(one)
    for first, second in pairwise(places[:4]):
        joined = f"{first.text} {second.text}"
        if not _stands(one, first, joined):
            yield Lie(
                "joined from two places", "Joined, it says so.", (claim("Joined, it says so.", quote(first, joined)),)
            )
    for text in ("error", "{", place.text[:5]):
        if not _stands(one, place, text) or len("".join(text.split())) < 8:
            said = f"Too short, it says so ({len(text)})."
            yield Lie("too short a quote", "Too short, it says so", (claim(said, quote(place, text)),))
    outline = re.search(r"^(?:\d+ [0-9a-f]{16} |(?:trajectory|\d+ steps; )).*$", one.case.text, re.MULTILINE)
    assert outline is not None
    ours = {"outline": outline.group(), "fact": one.case.facts[0].text[:80], "marker": f"<span:{one.case.markers.mark}"}
    for sort, text in ours.items():
        said = f"Ours, from the {sort}, it says so."
        yield Lie(f"quote of our own {sort}", said, (claim(said, quote(place, text)),))


def _of_places(one: Simulated) -> Iterator[Lie]:
    places = stretches(one)
    for place in places[:3]:
        wrong = [
            ("trace_id", _flipped(place.trace_id)),
            ("span_id", _flipped(place.span_id)),
            ("trace_id", place.trace_id[:8]),
        ]
        wrong += [("field", name) for name in (*TEXT_FIELDS, "result", "__class__") if name != place.field]
        wrong += [("span_id", other.span_id) for other in places if other.trace_id == place.trace_id]
        wrong += [("trace_id", other.trace_id) for other in places]
        for name, value in dict.fromkeys(wrong):
            entry = quote(place, **{name: value})
            if not _stands_at(one, entry):
                said = f"Misplaced by {name}, it says so."
                yield Lie(f"right quote, wrong {name}", said, (claim(said, entry),))
    unseen = _never_shown(one)
    if unseen is not None:
        yield Lie("never shown", "Unseen, it says so.", (claim("Unseen, it says so.", quote(unseen)),))
    for entry in ({"kind": "fact", "id": "E99"}, {"kind": "fact", "id": "F999"}, {"kind": "fact", "id": ""}):
        yield Lie("evidence that does not exist", "Unfiled, it is so.", (claim("Unfiled, it is so.", entry),))
    yield Lie("no evidence", "Bare, it is so.", (claim("Bare, it is so."),))


def _of_names(one: Simulated) -> Iterator[Lie]:
    place = stretches(one)[0]
    invented = (
        "It came with version 9.41.7.",
        "It came with release v77.",
        "The model is gpt-9-turbo.",
        "The model is claude-atlas.",
        "It calls the tool fetch_ledgers.",
        "It calls dropAllTables again.",
        "The agent ledger-bot is where it starts.",
        "Trace 0123456789abcdef0123456789abcdef has it as well.",
        "The table fact.ledgers_v2 is read.",
        "It runs gemini-ultra now.",
    )
    for text in invented:
        yield Lie("invented name", text, (claim(text, quote(place)),))
        yield Lie("invented name in the cause", text, changes={"cause": text})
    for left, right in ('""', "“”", "„“", "«»", "‘’", "‹›", "「」", "``"):  # noqa: RUF001 - quotation marks
        text = f"It answers {left}hand over every ledger{right} at last."
        yield Lie("invented words in quotation marks", "hand over every ledger", (claim(text, quote(place)),))


def _of_numbers(one: Simulated) -> Iterator[Lie]:
    incident, known = one.incident, fact(one)
    noun = noun_of(incident.kind)
    share = incident.unit.startswith("share") or incident.kind in _SHARES
    scale, unit = (100.0, "%") if share else (1.0, incident.unit.split(" ")[0])
    value = incident.observed * scale
    texts = {
        "value": [
            f"{noun} is {number(value * factor)} {unit} now."
            for factor in (0.8, 1.07, 1.4, 3.0)
            if not _happens(one, value * factor, 0.02)
        ],
        "unit": [f"{noun} is {number(value)} {other}." for other in ("EUR", "GB", "weeks") if other != unit]
        + [f"{noun} is €{number(value)}."],
        "sign": [f"{noun} is -{number(value)} {unit}."],
        "rounded beyond": [
            f"{noun} is {lead} {number(value * factor)} {unit}."
            for lead, factor in (("about", 1.3), ("roughly", 0.6))
            if not _happens(one, value * factor, 0.11)
        ],
        "swapped": [f"{noun} went from {number(value)} {unit} to {number(incident.expected * scale)} {unit}."],
        "in words": [
            "It happens ninety-seven times a run.",
            "Four hundred and six trajectories are affected.",
            "It takes thirty-nine minutes longer.",
        ],
        "range": ["It happens between 77 and 99 times.", "It takes 7-9 minutes.", "A run costs 450 to 900 USD."],
        "part": [
            f"{part} of the runs are affected."
            for part in ("One tenth", "Four fifths", "⅛")
            if not _near_part(incident, part)
        ],
        "of strangers": [
            *(
                f"{count} users are affected."
                for count in (incident.affected.trajectories, incident.affected.of)
                if count > 9
            ),
            *(f"{digits} customers saw it." for digits in _counted(one)),
        ],
    }
    if incident.ratio is not None:
        texts["factor"] = [f"{noun} is {number(incident.ratio * 2)}x what it was."]
        texts["factor"] += [
            f"{noun} {word}."
            for word, factor in (("doubled", 2), ("tripled", 3), ("halved", 0.5))
            if not _happens(one, factor, 0.26)
        ]
        other = "Latency" if noun != "Latency" else "Cost"
        texts["of another measure"] = [f"{other} is {number(incident.ratio)}x what it was."]
    first, peer = one.case.trajectories[0].summary, one.case.healthy[0].summary
    texts["of another trajectory"] = [
        f"The healthy peer {peer.trace_id[:12]} used {first.tokens:,} tokens.",
        f"Trajectory {first.trace_id} used {peer.tokens:,} tokens.",
        f"The healthy peer used {first.tokens:,} tokens.",
    ]
    if first.steps != peer.steps and peer.steps > 9:
        texts["of another trajectory"] += [f"Trajectory {first.trace_id[:12]} has {peer.steps} steps."]
    for sort, written in texts.items():
        for text in written:
            yield Lie(f"number: {sort}", text, (claim(text, known),))
            yield Lie(f"number in the summary: {sort}", text, changes={"summary": text})


def _of_relations(one: Simulated) -> Iterator[Lie]:
    incident, known = one.incident, fact(one)
    noun = noun_of(incident.kind)
    texts = []
    rises = incident.ratio is not None and incident.ratio > 1 and incident.kind is not Kind.SUCCESS
    if rises and incident.kind not in {Kind.LOOP, Kind.RUNAWAY}:
        texts += [
            f"{noun} fell after the release of nothing.",
            f"There is a drop in {noun.lower()}.",
            f"{noun} has steadily declined.",
        ]
    if incident.kind not in {Kind.LOOP, Kind.RUNAWAY}:
        scale = 100.0 if incident.kind in _SHARES else 1.0
        texts += [f"The expected value is {number(incident.observed * scale)}."]
    texts += [*_of_the_account(one), *_of_changes(one)]
    for text in texts:
        yield Lie("against the account", text, (claim(text, known),))
        yield Lie("against the account, in the cause", text, changes={"cause": text})
    categories = ["price_change", "prompt_change", "model_change"] + (["traffic"] if incident.account else [])
    for category in categories:
        yield Lie("category against the account", "", tuple(truth(one)), {"category": category})


def _of_the_account(one: Simulated) -> list[str]:
    texts: list[str] = []
    shares = {factor.factor: factor.share for factor in one.incident.account}
    for name, share in shares.items():
        if share < 0.1 and name in {"price", "model mix", "runs"}:
            texts += [f"The change comes from {name}.", f"It is due to higher {name}."]
    if "price" in shares:
        texts += ["The change is mainly one of price.", "The price is the main factor."]
    return texts


def _of_changes(one: Simulated) -> list[str]:
    texts: list[str] = []
    seen = {change.what for change in one.incident.changes}
    for what in ("prompt", "model", "version", "price"):
        if what not in seen:
            texts += [
                f"It began with a new {what}.",
                f"The {what} was changed just before.",
                f"A change of {what} explains it.",
            ]
    for change in one.incident.changes:
        if change.from_value and change.to_value:
            texts += [
                f"It changed from {change.to_value} to {change.from_value}.",
                f"The new {change.what} {change.from_value} is where it starts.",
                f"The {change.what} was not changed.",
            ]
    return texts


def _of_times_and_steps(one: Simulated) -> Iterator[Lie]:
    place, known = stretches(one)[0], fact(one)
    hours = {when.hour for each in one.case.facts for when in each.times}
    free = next(hour for hour in range(13, 24) if hour not in hours)
    texts = [
        f"It began at {free}:37 UTC.",
        f"It began at {free - 12} pm.",
        "It began on 2026-03-04.",
        "It began on 4 March 2026.",
        "It began on March 4th.",
        f"It began at 2026-11-20T{free}:05:00Z.",
    ]
    days = {when.strftime("%A") for each in one.case.facts for when in each.times}
    texts += [f"It began last {day}." for day in ("Monday", "Tuesday", "Wednesday") if day not in days][:1]
    for text in texts:
        yield Lie("invented time", text, (claim(text, known),))
        yield Lie("invented time in the summary", text, changes={"summary": text})
    longest = max(len(each.steps) for each in one.held.values())
    wrong = next(number_ for number_ in range(1, longest + 1) if number_ != place.step)
    for text, sort in (
        (f"Step {longest + 1} is where it goes wrong.", "out of range"),
        ("Step 0 is where it goes wrong.", "out of range"),
        (f"Step {wrong} is where it goes wrong.", "another step than the quote's"),
    ):
        yield Lie(f"step {sort}", text, (claim(text, quote(place)),))


def _of_subjects(one: Simulated) -> Iterator[Lie]:
    stories = (
        "The database migration dropped an index.",
        "A DNS outage in Frankfurt cut the network.",
        "Somebody rotated the certificates.",
        "A competitor scraped the website overnight.",
        "The kernel upgrade broke scheduling.",
        "It fails because the disk of the warehouse is full.",
        "Garbage collection pauses the interpreter.",
        "The holiday season brings impatient shoppers.",
        "Engineers disabled the firewall.",
        "The vector index was rebuilt with another embedding.",
    )
    for text in stories:
        for place in stretches(one)[:2]:
            yield Lie("unrelated to its quote", text, (claim(text, quote(place)),))
        yield Lie("unrelated, in the cause", text, changes={"cause": text})


def _of_signs(one: Simulated) -> Iterator[Lie]:
    place = stretches(one)[0]
    texts = (
        "It happens 9\u200b7 times.",
        "It happens 97 times.".translate(WIDE),
        f"The {'version'.translate(LOOKALIKES)} is at fault.",
        "It happens 9\u200d7 times.",
        "It happens 9\u202e7 times.",
        "It happens 9<b></b>7 times.",
        "It happens [9](http://x.example)7 times.",
        "It happens ⁹⁷ times.",
        "It happens 97\u00a0times.",
        "It happens x97.",
    )
    for text in texts:
        yield Lie("signs that look alike or hide", text, (claim(text, quote(place)),))


def _of_metrics(one: Simulated) -> Iterator[Lie]:
    filed = next((each for each in one.incident.evidence if isinstance(each, MetricEvidence)), None)
    if filed is None:
        return
    true = {
        "kind": "metric",
        "promql": filed.promql,
        "start": filed.start.isoformat(),
        "end": filed.end.isoformat(),
        "step": filed.step,
        "value": filed.value,
    }
    agent = one.incident.subject.agent or ""
    wrong = [
        {"value": filed.value * 1.2 + 0.01},
        {"value": -filed.value - 1},
        {"promql": filed.promql.replace(agent, "another-agent")},
        {"promql": "sum(up)"},
        {"start": "2020-01-01T00:00:00Z"},
        {"end": "2031-01-01T00:00:00Z"},
        {"start": true["end"], "end": true["start"]},
        {"start": "yesterday"},
        {"step": -1},
        {"promql": f'count(x{{agent="{agent}"}})'},
    ]
    for change in wrong:
        text = f"Measured with another {min(change)}, it rose."
        yield Lie("metric", text, (claim(text, true | change),))


def _of_the_responsible(one: Simulated) -> Iterator[Lie]:
    place = stretches(one)[0]
    peer = one.case.healthy[0]
    step = peer.steps[-1]
    right = {
        "trace_id": place.trace_id,
        "span_id": place.span_id,
        "step": place.step,
        "agent": one.incident.subject.agent,
    }
    for wrong in (
        {"agent": "somebody-else"},
        {"step": place.step + 1},
        {"span_id": _flipped(place.span_id)},
        {"trace_id": _flipped(place.trace_id)},
        {"trace_id": peer.summary.trace_id, "span_id": step.span_id, "step": step.number},
    ):
        yield Lie("responsible step", "", tuple(truth(one)), {"responsible": right | wrong})


_SHARES = frozenset({Kind.ERRORS, Kind.TOOL_ERRORS, Kind.SUCCESS, Kind.RETRIES, Kind.TRUNCATION})


def _counted(one: Simulated) -> list[str]:
    """Return numbers of the detectors' notes that no quote on file holds: they count steps and trajectories."""
    quoted = " ".join(getattr(entry, "quote", "") for entry in one.incident.evidence) + stretches(one)[0].text
    notes = " ".join(finding.note for finding in one.incident.findings)
    numbers = re.findall(r"(?<![\w.,:-])\d{2,6}(?![\w.,:%-])", notes)
    return [digits for digits in dict.fromkeys(numbers) if digits not in quoted]


def scaled(incident: Incident) -> tuple[float, float, str]:
    """Return what was observed, what was expected, and their unit, as people write them."""
    share = incident.unit.startswith("share") or incident.kind in _SHARES
    scale, unit = (100.0, "%") if share else (1.0, incident.unit.split(" ")[0])
    return incident.observed * scale, incident.expected * scale, unit


def noun_of(kind: Kind) -> str:
    """Return what a sentence about an incident of a kind is said of."""
    return {
        Kind.TOOL_ERRORS: "Errors",
        Kind.TOOL_LATENCY: "Latency",
        Kind.SUCCESS: "Missed goals",
        Kind.LOOP: "Repeats",
        Kind.TRUNCATION: "Truncation",
    }.get(kind, kind.value.capitalize())


def _near_part(incident: Any, part: str) -> bool:
    counts = [
        (incident.affected.trajectories, incident.affected.of),
        *((one.affected, one.of) for one in incident.findings),
    ]
    said = {"One tenth": 0.1, "Four fifths": 0.8, "⅛": 0.125}[part]
    return any(abs(hit / max(of, 1) - said) < 0.1 for hit, of in counts)


def _happens(one: Simulated, value: float, tolerance: float) -> bool:
    """Whether a made-up figure is true after all, of the same incident: as a value, a factor or a share in it."""
    incident = one.incident
    real = [incident.observed, incident.expected, incident.ratio or 0.0, *one.case.repeats]
    for found in incident.findings:
        real += [found.value, found.baseline, found.value / found.baseline if found.baseline else 0.0]
    counts = [
        (incident.affected.trajectories, incident.affected.of),
        *((each.affected, each.of) for each in incident.findings),
    ]
    shares = [hit / max(of, 1) for hit, of in counts]
    real += [amount * 100 for amount in real] + [amount * 100 for amount in shares]
    return any(abs(value - amount) <= tolerance * abs(value) for amount in real)


def _whole(line: str) -> str:
    return line if len(line) < 90 else line.rsplit(" ", 1)[0]


def _flipped(name: str) -> str:
    return name[:-1] + ("0" if name[-1] != "0" else "1")


def _one_character(text: str, rng: random.Random) -> str:
    at = rng.choice([index for index, char in enumerate(text) if char.isalnum()])
    other = (
        "7"
        if text[at].isdigit() and text[at] != "7"
        else ("3" if text[at] == "7" else ("q" if text[at] != "q" else "z"))
    )
    return text[:at] + other + text[at + 1 :]


def _stands(one: Simulated, place: Stretch, text: str) -> bool:
    return _stands_at(one, quote(place, text))


def _stands_at(one: Simulated, entry: dict[str, Any]) -> bool:
    """Whether a quote is true after all: its words stand there, and were shown."""
    if entry["trace_id"] not in one.held or entry["field"] not in TEXT_FIELDS:
        return False
    span = one.held[entry["trace_id"]].span(entry["span_id"])
    held = text_of(span, entry["field"], lambda text: text) if span is not None else ""
    return find_verbatim(entry["quote"], held) is not None


def _never_shown(one: Simulated) -> Stretch | None:
    for each in one.case.trajectories:
        for step in each.steps:
            span = each.span(step.span_id)
            assert span is not None
            for name in ("output", "input"):
                text = text_of(span, name, lambda text: text)
                place = Stretch(each.summary.trace_id, step.span_id, name, text[:60].strip(), step.number)
                if len(text) > 40 and not one.case.shown.holds(place.trace_id, place.span_id, name, place.text):
                    return place
    return None


def truths(one: Simulated) -> Iterator[dict[str, Any]]:
    """Yield true claims about a case, in the words that people use: numbers rounded as they are, units as they like."""
    yield from _true_quotes(one)
    yield from _true_figures(one)
    yield from _true_accounts(one)
    yield from _true_trajectories(one)


def _true_quotes(one: Simulated) -> Iterator[dict[str, Any]]:
    agent = one.incident.subject.agent
    for place in stretches(one)[:8]:
        word = max(re.findall(r"[A-Za-z]{4,}", place.text), key=len)
        span = one.held[place.trace_id].span(place.span_id)
        assert span is not None
        texts = [
            f'It says "{place.text}".',
            f"The agent goes on although it is told of {word}.",
            f"{agent} reads about {word} here.",
        ]
        if place.step:
            texts += [
                f"Step {place.step} speaks of {word}.",
                f"In step {place.step} there is {word}, which is not what a healthy peer sees.",
                f"Trajectory {place.trace_id[:12]} has {word} in step {place.step}.",
            ]
        if span.duration_ms is not None and span.duration_ms >= 1:
            texts += [
                f"This step takes {span.duration_ms:.0f} ms.",
                f"This step takes {span.duration_ms / 1000:.2g} s.",
            ]
        if span.tokens is not None and span.tokens.output > 9:
            texts += [f"It writes {span.tokens.output:,} tokens.", f"It reads {span.tokens.input:,} input tokens."]
        for text in texts:
            yield claim(text, quote(place, "  ".join(place.text.split(" "))))


def _true_figures(one: Simulated) -> Iterator[dict[str, Any]]:
    incident, known = one.incident, fact(one)
    noun = noun_of(incident.kind)
    share = incident.kind in _SHARES
    scale, unit = (100.0, "%") if share else (1.0, incident.unit.split(" ")[0])
    high, low = number(incident.observed * scale), number(incident.expected * scale)
    at = incident.onset
    texts = [
        f"{noun} is at {high} {unit} where {low} {unit} were expected."
        if incident.kind is not Kind.LOOP
        else f"One call is repeated up to {high} times.",
        f"It began at {at:%H:%M} UTC.",
        f"It has gone on since {at:%Y-%m-%d %H:%M} UTC.",
        f"It began on {at.day} {at:%B}.",
        f"It began around {at:%I} {at:%p}.".replace(" 0", " ").lower().replace("it", "It"),
        f"It began on a {at:%A}.",
    ]
    hit = incident.affected
    if hit.of:
        part = 100 * hit.trajectories / hit.of
        texts += [
            f"{hit.trajectories} of {hit.of} trajectories are affected.",
            f"{part:.0f} % of the runs are affected.",
            f"About {part:.0f} percent of {hit.of} runs are hit.",
        ]
        texts += ["Half of the runs are affected."] if 47 < part < 53 else []
        texts += ["Two thirds of the runs are affected."] if 64 < part < 69 else []
    if incident.kind is not Kind.LOOP:
        texts += [
            f"{noun} rose from {low} {unit} to {high} {unit}.",
            f"{noun} rose to {high} {unit}, from {low} {unit}.",
        ]
        if incident.ratio is not None:
            ratio = incident.ratio
            texts += [
                f"{noun} is {ratio:.1f}x the usual.",
                f"{noun} is {ratio:.2g} times what was expected.",
                f"{noun} went up {ratio:.2g}-fold.",
            ]
            texts += [f"{noun} doubled.", f"{noun} is twice as high."] if 1.7 < ratio < 2.3 else []
            texts += [f"{noun} tripled."] if 2.6 < ratio < 3.4 else []
    if incident.excess_usd and incident.excess_usd >= 0.01:
        texts += [
            f"About {number(incident.excess_usd)} USD were spent beyond what was expected.",
            f"${incident.excess_usd:.2f} were wasted.",
        ]
    if unit == "s":
        texts += [f"It takes {incident.observed * 1000:,.0f} ms."]
    for text in texts:
        yield claim(text, known)


def _true_accounts(one: Simulated) -> Iterator[dict[str, Any]]:
    known = fact(one)
    for factor in one.incident.account:
        part = factor.share * 100
        if part >= 0.95:
            yield (
                claim(f"{part:.0f} % of the change comes from {factor.factor}.", known)
                if part >= 10
                else claim(f"Only {part:.1f} % is {factor.factor}.", known)
            )
        if factor.from_value and factor.to_value:
            yield claim(
                f"{factor.factor.capitalize()} went from {number(factor.from_value)} to {number(factor.to_value)}.",
                known,
            )
    main = max(one.incident.account, key=lambda factor: factor.share, default=None)
    if main is not None and main.share >= 0.5:
        yield claim(f"Most of the change comes from {main.factor}.", known)
        yield claim(f"{main.factor.capitalize()} are the main factor.", known)
    for change in one.incident.changes:
        yield claim(f"It coincides with {change.what} {change.to_value}.", known)
        yield claim(
            f"It began after a new {change.what}, {change.to_value}, first seen at {change.at:%H:%M} UTC.", known
        )
        if change.from_value:
            yield claim(f"The {change.what} changed from {change.from_value} to {change.to_value}.", known)
    if not one.incident.changes:
        yield claim("No change of version, model or prompt was seen near the onset.", known)


def _true_trajectories(one: Simulated) -> Iterator[dict[str, Any]]:
    known = fact(one)
    worst, peer = one.case.trajectories[0].summary, one.case.healthy[0].summary
    yield claim(f"The worst run takes {worst.steps} steps, a healthy peer {peer.steps} steps.", known)
    yield claim(f"Trajectory {worst.trace_id} takes {worst.steps} steps.", known)
    yield claim(f"The healthy peer {peer.trace_id[:8]} used {peer.tokens:,} tokens.", known)
    if worst.duration_s:
        yield claim(f"The worst run lasts {worst.duration_s:.1f} s.", known)
    if worst.cost_usd:
        yield claim(f"The worst run costs {number(worst.cost_usd)} USD.", known)
    yield claim(f"It ends as {worst.outcome.value} on version {worst.version}.", known)
