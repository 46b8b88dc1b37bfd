"""Lies by somebody who has read the gate: nothing in them is invented, every word and number is one that was shown.

A figure of the wrong unit, of the wrong end or of the wrong event, a quantifier or a comparison that the counts do not
bear out, a denial of what was found, a cause and its effect the wrong way round. All are made from the incident, and a
sort that happens to be true of it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from support.lies import Lie, claim, fact, noun_of, scaled
from support.simulated import Simulated

from analyzer.agent.facts import number
from analyzer.types.report import Incident, Kind

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
REPEATED = frozenset({Kind.LOOP, Kind.RUNAWAY})
"""Kinds whose figure is the length of the longest loop, and says nothing of before."""


def sly_lies(one: Simulated) -> Iterator[Lie]:
    """Yield each lie as a claim that rests on what is on file, and as a summary beside true claims."""
    for sort, texts in _sorts(one).items():
        for text in dict.fromkeys(texts):
            yield Lie(f"sly: {sort}", text, (claim(text, fact(one)),))
            yield Lie(f"sly, in the summary: {sort}", text, changes={"summary": text})


def _sorts(one: Simulated) -> dict[str, list[str]]:
    incident = one.incident
    sorts = _of_units(incident) | _of_counts(incident) | _of_times(incident)
    sorts |= _of_denials(incident) | _of_comparisons(one) | _of_causes(incident)
    if incident.kind not in REPEATED and incident.ratio is not None:
        sorts |= _of_ends(incident) | _of_factors(incident, incident.ratio)
    return sorts


def _of_units(incident: Incident) -> dict[str, list[str]]:
    noun, (high, _, unit) = noun_of(incident.kind), scaled(incident)
    swaps = {
        "s": ("minutes", "ms", "USD"),
        "USD": ("cents", "EUR", "%"),
        "%": ("x", "times", "s"),
        "tokens": ("s", "%"),
    }
    sorts = {"unit swapped": [f"{noun} is {number(high)} {other}." for other in swaps.get(unit, ("%", "USD"))]}
    if unit in {"USD", "s", "tokens"}:
        periods = ("day", "hour", "week", "month") + (("step", "token", "user") if incident.kind is Kind.COST else ())
        sorts["per day for per run"] = [f"{noun} is {number(high)} {unit} per {period}." for period in periods]
        sorts["per day for per run"] += [f"{noun} stands at {number(high)} {unit} a day."]
        sorts["per day for per run"] += [f"{noun} is {number(high)} {unit} in total."] if unit != "s" else []
    if incident.excess_usd and incident.excess_usd >= 0.01:
        money = f"{incident.excess_usd:.2f}"
        sorts["money of another sort"] = [
            f"{money} USD were saved.",
            f"{money} USD per run were wasted.",
            f"Each run costs {money} USD more than expected.",
            f"{money} USD are wasted every hour.",
        ]
    return sorts


def _of_ends(incident: Incident) -> dict[str, list[str]]:
    noun, (high, low, unit) = noun_of(incident.kind), scaled(incident)
    texts = {
        "expected for observed": [
            f"{noun} is {number(low)} {unit}.",
            f"{noun} now stands at {number(low)} {unit}.",
            f"At the moment {noun.lower()} is {number(low)} {unit}.",
            f"{noun} is at {number(low)} {unit} since the onset.",
        ],
        "observed for expected": [
            f"{noun} used to be {number(high)} {unit}.",
            f"Before the onset {noun.lower()} was {number(high)} {unit}.",
            f"{noun} was {number(high)} {unit} in the past.",
            f"Ordinarily {noun.lower()} is {number(high)} {unit}.",
            f"{number(high)} {unit} is normal for {noun.lower()}.",
        ],
    }
    if high > 1.5 * low > 0:
        texts["bounds"] = [
            f"{noun} is below {number(low)} {unit}.",
            f"{noun} is at most {number(low)} {unit}.",
            f"{noun} stays under {number(low)} {unit}.",
            f"{noun} never exceeds {number(low)} {unit}.",
            f"{noun} is less than {number(low)} {unit}.",
        ]
    return texts


def _of_factors(incident: Incident, ratio: float) -> dict[str, list[str]]:
    noun = noun_of(incident.kind)
    texts: dict[str, list[str]] = {"ratio for per cent": [], "rough factor": []}
    if 1.3 < ratio < 50:
        texts["ratio for per cent"] += [
            f"{noun} rose by {100 * ratio:.0f} %.",
            f"{noun} is {100 * ratio:.0f} % higher than expected.",
            f"{noun} is up {100 * ratio:.0f} percent.",
            f"{noun} is at {100 * (ratio - 1):.0f} % of the usual.",
        ]
        texts["ratio for per cent"] += [f"{noun} fell by {100 * (ratio - 1):.0f} %."]
        texts["ratio for per cent"] += [f"{noun} is {ratio:.1f} %.", f"{noun} is {ratio:.1f}x lower than expected."]
    for phrase, low, high in (
        ("roughly twice", 1.5, 2.6), ("about three times", 2.4, 3.8), ("some five times", 4.2, 6.0),
        ("almost ten times", 8.5, 10.8), ("half", 0.4, 0.6), ("many hundred times", 190, 1e9),
    ):  # fmt: skip
        if not low < ratio < high:
            texts["rough factor"] += [f"{noun} is {phrase} what was expected."]
    for phrase, least in (("more than doubled", 2.0), ("more than tripled", 3.0), ("more than quadrupled", 4.0)):
        if ratio < 0.97 * least:
            texts["rough factor"] += [f"{noun} {phrase}."]
    if ratio > 2.05 or ratio < 1.7:
        texts["rough factor"] += [f"{noun} nearly doubled.", f"{noun} has not quite doubled."]
    if not 4 < ratio < 40:
        texts["rough factor"] += [f"{noun} grew tenfold.", f"{noun} rose by an order of magnitude."]
    return texts


def _of_counts(incident: Incident) -> dict[str, list[str]]:
    hit, of = incident.affected.trajectories, incident.affected.of
    if of < 10 or not 0.05 < hit / of < 0.95:
        return {}
    part = hit / of
    texts = [
        "All runs are affected.", "Every run is affected.", "Each of the runs is affected.", "No run is affected.",
        f"All {of} trajectories are affected.", "None of the runs is affected.", "Only one run is affected.",
        "Every single trajectory is hit.", "The runs are always affected.", "A run is never affected.",
        "Not a single trajectory is affected.", "100 % of the runs are affected.", "Just two runs are hit.",
    ]  # fmt: skip
    texts += ["Hardly any run is affected.", "Almost all runs are affected."] if 0.2 < part < 0.8 else []
    texts += ["Most runs are affected.", "The majority of the runs is affected."] if part < 0.45 else []
    texts += ["A minority of the runs is affected.", "Few runs are affected."] if part > 0.55 else []
    texts += ["Most runs are not affected."] if part > 0.55 else []
    tenths = [count for count in range(1, 10) if abs(count / 10 - part) > 0.15][:2]
    said = [f"{WORDS[count].capitalize()} in ten runs are affected." for count in tenths]
    said += [f"{count} out of 10 runs are affected." for count in tenths]
    said += ["One in 9 runs is affected."] if part > 0.2 else []
    said += ["Every other run is affected."] if not 0.35 < part < 0.65 else []
    complement = [
        f"{100 * part:.0f} % of the runs are unaffected.",
        f"{100 * part:.0f} % of the runs are not affected.",
        f"{hit} of {of} trajectories are fine.",
        f"{hit} of {of} runs went well.",
    ]
    swapped = [f"{of} trajectories are affected.", f"{of} of {hit} trajectories are affected."]
    return {"quantifier": texts, "one in so many": said, "complement": complement, "part for whole": swapped}


def _of_times(incident: Incident) -> dict[str, list[str]]:
    at, last = incident.onset, incident.last_seen_at
    before, after = at - timedelta(days=1), at + timedelta(days=1)
    low = min(finding.onset_low for finding in incident.findings)
    texts = [
        f"It began on {before:%Y-%m-%d} at {at:%H:%M} UTC.",
        f"It began at {before:%Y-%m-%d %H:%M} UTC.",
        f"It began at {after:%Y-%m-%d %H:%M} UTC.",
        *([f"It began on {before.day} {before:%B}."] if low.date() > before.date() else []),
        f"It began on {before:%A} at {at:%H:%M} UTC.",
        f"It began a day before {at:%H:%M} UTC.",
        "It began weeks ago.",
        "It began months ago.",
        "It has been going on for days.",
    ]
    spoken = {"shifted by a day": texts, "time of another event": [f"It ended at {at:%H:%M} UTC."]}
    if (last - at).total_seconds() > 7200:
        spoken["time of another event"] += [
            f"It began at {last:%H:%M} UTC.",
            f"The onset is {last:%Y-%m-%d %H:%M} UTC.",
            f"It started at {last:%H:%M} UTC and still goes on.",
        ]
    for change in incident.changes:
        gap = (change.at - at).total_seconds()
        if abs(gap) > 3600:
            way = "after" if gap < 0 else "before"
            spoken["time of another event"] += [f"The {change.what} changed {way} the onset."]
    return spoken


def _of_denials(incident: Incident) -> dict[str, list[str]]:
    noun = noun_of(incident.kind)
    texts = [
        f"{noun} has recovered.", f"{noun} is back to normal.", "The incident is resolved.", "The incident is over.",
        "It has stopped by itself.", "Everything works as expected.", "This is a false alarm.",
        f"{noun} is as expected.",
    ]  # fmt: skip
    if incident.kind not in REPEATED:
        texts += [
            f"{noun} did not rise.", f"{noun} never rose.", f"{noun} is unchanged.", f"{noun} stayed the same.",
            f"There is no rise in {noun.lower()}.", f"{noun} is lower than expected.", f"{noun} is flat.",
            f"{noun} is below the expected value.", f"{noun} has not increased.", f"{noun} no longer rises.",
        ]  # fmt: skip
    others = {Kind.LOOP, Kind.LATENCY, Kind.COST, Kind.TRUNCATION} - {finding.kind for finding in incident.findings}
    said = {
        Kind.LOOP: "The agent is caught in a loop.",
        Kind.LATENCY: "The latency of the agent rose as well.",
        Kind.COST: "The cost of a run rose sharply.",
        Kind.TRUNCATION: "Replies are truncated.",
    }
    severities = {"low", "critical"} - {incident.severity.value}
    return {
        "denied": texts,
        "of another kind": [said[kind] for kind in sorted(others) if not _also(incident, kind)],
        "severity": [f"The severity is {word}." for word in sorted(severities)],
    }


def _also(incident: Incident, kind: Kind) -> bool:
    """Whether a rise of another kind may be true here: slow, failing or looping runs cost more and take longer."""
    return kind is Kind.LATENCY or (kind is Kind.COST and incident.kind in REPEATED | {Kind.RETRIES, Kind.SUCCESS})


def _of_comparisons(one: Simulated) -> dict[str, list[str]]:
    texts = []
    outcomes = {each.summary.outcome for each in one.case.trajectories}
    texts += [
        f"The worst run ends as {peer.summary.outcome.value}."
        for peer in one.case.healthy[:1]
        if peer.summary.outcome not in outcomes
    ]
    for more, less, higher in compared(one):
        wrong = less if higher else more
        texts.append(f"The worst run {wrong} than the healthy peer.")
        texts.append(f"The healthy peer {more if higher else less} than the worst run.")
    return {"comparison of two runs": texts}


def compared(one: Simulated) -> Iterator[tuple[str, str, bool]]:
    """Yield how the worst runs differ from the healthy ones, where all of them do: words for more, for less, which."""
    worst, peers = ([each.summary for each in side] for side in (one.case.trajectories, one.case.healthy))
    for name, more, less in (
        ("steps", "takes more steps", "takes fewer steps"),
        ("tokens", "uses more tokens", "uses fewer tokens"),
        ("cost_usd", "is more expensive", "is cheaper"),
        ("duration_s", "takes longer", "is faster"),
        ("errors", "has more errors", "has fewer errors"),
    ):
        ours, theirs = ([getattr(each, name) for each in side] for side in (worst, peers))
        if None in (*ours, *theirs):
            continue
        if min(ours) > 1.1 * max(theirs):
            yield more, less, True
        elif min(theirs) > 1.1 * max(ours):
            yield more, less, False


def _of_causes(incident: Incident) -> dict[str, list[str]]:
    noun = noun_of(incident.kind)
    lower = noun.lower()
    swapped, weighed = [], []
    for change in incident.changes:
        swapped += [
            f"The new {change.what} was caused by the rise in {lower}.",
            f"The rise in {lower} led to the new {change.what}.",
            f"The {change.what} changed because {lower} rose.",
        ]
    for factor in incident.account:
        name = factor.factor
        rises = factor.from_value and factor.to_value and factor.to_value > factor.from_value
        # Of a loop the repeats do make the steps rise.
        if factor.share > 0.2 and rises and incident.kind not in REPEATED:
            swapped += [f"{name.capitalize()} rose because {lower} rose.", f"Higher {lower} caused more {name}."]
        if abs(factor.share) < 0.1:
            weighed += [f"{name.capitalize()} explains the change.", f"The rise is due to {name}."]
            weighed += [f"{name.capitalize()} is what drives it.", f"{name.capitalize()} is the root cause."]
        if factor.share > 0.5:
            weighed += [f"{name.capitalize()} has nothing to do with it.", f"{name.capitalize()} plays no part."]
            weighed += [f"The change does not come from {name}."]
        if 0.1 < factor.share < 0.85:
            weighed += [f"{name.capitalize()} alone explains the change.", f"Only {name} changed."]
    if not incident.changes:
        weighed += ["A deployment caused it.", "It started with a release.", "Another prompt is to blame."]
    return {"cause and effect swapped": swapped, "weight of a factor": weighed}
