"""What an honest model says of the computed figures: rounded, hedged, compared, denied, quantified as people do.

By hand and made from the incident; a form of words that happens to be false of it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.adversary import REPEATED, WORDS, compared
from support.lies import claim, fact, noun_of, scaled
from support.simulated import Simulated

from analyzer.agent.facts import number
from analyzer.types.report import Incident


def honest(one: Simulated) -> Iterator[dict[str, Any]]:
    """Yield true sentences about an incident, as claims that rest on what is on file."""
    incident = one.incident
    texts = [*_counts(incident), *_times(incident), *_states(incident), *_comparisons(one), *_causes(incident)]
    if incident.kind not in REPEATED and incident.ratio is not None:
        texts += [*_ends(incident), *_factors(incident, incident.ratio)]
    for text in dict.fromkeys(texts):
        yield claim(text, fact(one))


def _ends(incident: Incident) -> Iterator[str]:
    noun, (high, low, unit) = noun_of(incident.kind), scaled(incident)
    lower, now, then = noun.lower(), f"{number(high)} {unit}", f"{number(low)} {unit}"
    yield from (
        f"{noun} is {now}.",
        f"{noun} stands at {now} now.",
        f"At the moment {lower} is about {_rounded(high)} {unit}.",
        f"{noun} is roughly {_rounded(high)} {unit}, not the usual {then}.",
        f"{noun} used to be {then}.",
        f"Before the onset {lower} was {then}.",
        f"{noun} was {then} before and is {now} since.",
        f"{then} would be normal.",
        f"The baseline is {then}.",
        f"One would expect {then}.",
        f"Ordinarily {lower} is {then}.",
        f"In the past it was {then}, today it is {now}.",
        f"{now} instead of {then}.",
        f"{noun} is {now}; it was {then}.",
        f"{noun} climbed to {now}.",
        f"{noun} is no longer {then}.",
        f"{noun} is at least {now}.",
        f"Compared with {then}, {now} is a lot.",
    )
    if incident.unit.startswith("USD"):
        yield from (f"Each run costs {now}.", f"A run costs {now} instead of {then}.", f"It costs {now} per run.")
    if unit == "s":
        yield f"It takes {number(high * 1000)} ms where {number(low * 1000)} ms are usual."


def _rounded(value: float) -> str:
    return number(float(f"{value:.2g}"))


def _factors(incident: Incident, ratio: float) -> Iterator[str]:
    noun = noun_of(incident.kind)
    lower = noun.lower()
    if ratio > 1.1:
        yield from (
            f"{noun} rose by {100 * (ratio - 1):.0f} %.",
            f"{noun} is {100 * (ratio - 1):.0f} % higher than expected.",
            f"{noun} is up {100 * (ratio - 1):.0f} percent.",
            f"{noun} is at {100 * ratio:.0f} % of the usual.",
            f"{noun} did rise.",
            f"{noun} is above the expected value.",
            f"{noun} is higher than expected.",
            f"{noun} did not fall.",
            f"{noun} did not stay the same.",
            f"{noun} has not recovered.",
            f"There is a rise in {lower}.",
            f"{noun} is not as expected.",
            f"Since the onset {lower} is {ratio:.1f} times the usual.",
        )
    for word, least in (("doubled", 2.0), ("tripled", 3.0), ("quadrupled", 4.0)):
        if least * 1.03 < ratio:
            yield f"{noun} more than {word}."
            yield f"{noun} is well over {WORDS[int(least)]} times what it was."
    if 1.8 < ratio < 1.98:
        yield f"{noun} nearly doubled."
    if 1.85 < ratio < 2.15:
        yield f"{noun} is roughly twice what it was."
    if 9.5 < ratio < 10.5:
        yield f"{noun} grew tenfold."


def _counts(incident: Incident) -> Iterator[str]:
    hit, of = incident.affected.trajectories, incident.affected.of
    if not of:
        return
    part = 100 * hit / of
    yield from (
        f"{hit} out of {of} runs are affected.",
        f"{hit} of the {of} trajectories are hit.",
        f"{of - hit} of {of} runs are not affected." if of - hit > 9 else f"{hit} runs are affected.",
        f"Of {of} runs {hit} are affected.",
        f"{part:.0f} % of runs are hit.",
        f"Roughly {part:.0f} % of trajectories are affected, the others are not.",
        f"{100 - part:.0f} % of the runs are unaffected.",
    )
    if 0 < hit < of:
        yield from ("Not all runs are affected.", "Some runs are affected, others are not.", "Not every run is hit.")
    if 55 < part < 95:
        yield from (
            "Most runs are affected.",
            "The majority of the runs is affected.",
            "More than half of the runs are hit.",
        )
    if part > 97:
        yield from ("Almost all runs are affected.", "Nearly every run is affected.")
    if part < 45:
        yield from (
            "Most runs are not affected.",
            "A minority of the runs is affected.",
            "Less than half of the runs are hit.",
        )
    tenths = round(part / 10)
    if 0 < tenths < 10 and abs(tenths * 10 - part) < 2:
        yield f"About {WORDS[tenths]} in ten runs are affected."
        yield f"Roughly {tenths} out of 10 runs are affected."


def _times(incident: Incident) -> Iterator[str]:
    at, last = incident.onset, incident.last_seen_at
    yield from (
        f"It began on {at:%Y-%m-%d} at {at:%H:%M} UTC.",
        f"It began on {at:%A} at {at:%H:%M} UTC.",
        f"The onset is {at:%Y-%m-%d %H:%M} UTC.",
        f"It was last seen at {last:%H:%M} UTC.",
        f"It goes on since {at:%H:%M} UTC and was last seen at {last:%Y-%m-%d %H:%M}.",
        f"Until {at:%H:%M} UTC all was well.",
        f"From {at:%H:%M} UTC on things are different.",
        f"It has been going on for {(last - at).total_seconds() / 3600:.0f} hours.",
    )
    for change in incident.changes:
        yield f"The {change.what} changed at {change.at:%H:%M} UTC, the onset is {at:%H:%M} UTC."
        if change.at < at:
            yield f"The {change.what} changed before the onset."


def _states(incident: Incident) -> Iterator[str]:
    yield from (
        f"The severity is {incident.severity.value}.",
        "The incident is not resolved.",
        "It is not over.",
        "It has not stopped.",
        "It still goes on.",
        "It did not recover.",
        "This is no false alarm.",
        "Not everything works as expected.",
    )


def _comparisons(one: Simulated) -> Iterator[str]:
    worst, peer = one.case.trajectories[0].summary, one.case.healthy[0].summary
    yield f"The worst run ends as {worst.outcome.value}, the healthy peer as {peer.outcome.value}."
    for more, less, higher in compared(one):
        yield f"The worst run {more if higher else less} than the healthy peer."
        yield f"The healthy peer {less if higher else more} than the worst run."


def _causes(incident: Incident) -> Iterator[str]:
    lower = noun_of(incident.kind).lower()
    for change in incident.changes:
        yield from (
            f"{lower.capitalize()} rose after the new {change.what}.",
            f"The new {change.what} may have caused the rise in {lower}.",
            f"The rise in {lower} was caused by the new {change.what}.",
        )
    for factor in incident.account:
        name = factor.factor
        if factor.share > 0.2 and factor.from_value and factor.to_value and factor.to_value > factor.from_value:
            yield f"{lower.capitalize()} rose because {name} rose."
            yield f"Higher {name} caused the rise in {lower}."
        if abs(factor.share) < 0.05:
            yield f"{name.capitalize()} plays no part."
            yield f"The change does not come from {name}."
        if factor.share > 0.55:
            yield f"{name.capitalize()} explains most of the change."
        if factor.share > 0.93:
            yield f"{name.capitalize()} alone explains the change."
    if not incident.changes:
        yield "No release was seen."
        yield "It is not due to a new version."
