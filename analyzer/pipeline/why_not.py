"""`why_not`: where every detector stands with one agent, and what a run makes of what they find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from analyzer.accounting.examine import is_single
from analyzer.accounting.running import hours_of, last_runs
from analyzer.accounting.stakes import Stakes, stakes_of
from analyzer.errors import NotFoundError, UsageError
from analyzer.pipeline.app import App
from analyzer.pipeline.phases import (
    collected,
    collected_of_itself,
    detected,
    examined,
    known_agents,
    on_itself,
    readings_of,
    triaged,
    with_beginnings,
)
from analyzer.render.numbers import figure, moment, money, number
from analyzer.stores.summaries import OWN_AGENT
from analyzer.triage.rules import key_of, keys_of
from analyzer.types.metric import Window
from analyzer.types.named import names_like
from analyzer.types.reading import Fate, Gate, Reading, Standing, WhyNot, deciding
from analyzer.types.report import Examined, Finding, Incident, Kind, State


def why_not(app: App, agent: str, at: datetime, *, kind: Kind | None = None) -> WhyNot:
    """Return where each detector (of a kind) stands with an agent at a moment. Nothing is kept or sent.

    What is found goes through the same phases as in a run, with the incidents that earlier runs have filed. Raises
    NotFoundError for an agent that never was, UsageError for a kind that no detector looks for, StoreError.
    """
    if agent == OWN_AGENT:
        app = on_itself(app)
    asked = [detector for detector in app.detectors if kind is None or detector.kind is kind]
    if not asked:
        kinds = ", ".join(sorted({detector.kind.value for detector in app.detectors}))
        raise UsageError(f"no detector looks for {kind}; there are {kinds}")
    fleet = collected(app, at)
    # The analyst's own runs are in no window of the fleet.
    seen = collected_of_itself(app, at) if agent == OWN_AGENT else fleet
    _check_known(app, agent, seen, at)
    window = seen.narrowed(lambda name: name == agent)
    readings = [one for detector in asked for one in readings_of(detector, window, agent)]
    findings, blind_spots = with_beginnings(app, *detected(app, window), at)
    own = [finding for finding in findings if finding.subject.agent in {agent, None}]
    known = examined(app, own, window)
    if agent != OWN_AGENT and any(one.suspects for one in known):
        # What others may be hit by as well is one incident with theirs: whether they are is a question to all.
        window = fleet
        findings, blind_spots = with_beginnings(app, *detected(app, window), at)
        known = examined(app, findings, window)
    stakes = stakes_of(fleet, app.floors)
    incidents = triaged(app, known, window, blind_spots, stakes)
    latest = app.trajectories.summaries(agent=agent, end=at, limit=1)
    ended_ns = latest[0].end_ns if latest else None
    ran = last_runs(fleet, {agent})
    told = {id(one.finding): _trivial(stakes, one.finding, at, ran) for one in known}
    return WhyNot(
        agent=agent,
        at=at,
        last_seen=None if ended_ns is None else datetime.fromtimestamp(ended_ns / 1e9, UTC),
        standings=tuple(
            _with_loss(_standing(one, known, incidents, app.incidents.incidents()), told)
            for one in deciding(readings, (entry.finding for entry in known))
        ),
        gaps=(*fleet.gaps, *blind_spots, *app.gaps()),
    )


def _trivial(stakes: Stakes, finding: Finding, at: datetime, ran: Mapping[str, datetime]) -> str:
    """Say that what a finding loses is too little for its ratio to count; "" where it does."""
    loss = stakes.loss(finding, hours_of(finding, at, ran))
    if loss is None or not loss.is_trivial:
        return ""
    lost, floor = (
        money(one) if loss.unit == "USD" else f"{number(one)} {loss.unit}" for one in (loss.amount, loss.floor)
    )
    return f"; low by itself, for it loses {lost} a day and the least that counts is {floor}"


def _with_loss(standing: Standing, told: Mapping[int, str]) -> Standing:
    return replace(standing, said=standing.said + told.get(id(standing.finding), ""))


def _check_known(app: App, agent: str, fleet: Window, at: datetime) -> None:
    """Raise NotFoundError for an agent that was never heard of by a moment, with those that are called like it."""
    known = known_agents(app, fleet, at)
    if agent in known:
        return
    if not known:
        raise NotFoundError(
            f"no agent called '{agent}': the store holds no trajectories before {at:%Y-%m-%d %H:%M} UTC"
        )
    raise NotFoundError(f"no agent called '{agent}'{names_like(agent, known)}")


def _standing(
    reading: Reading, known: Sequence[Examined], incidents: Sequence[Incident], filed: Sequence[Incident]
) -> Standing:
    """Join a reading with the finding that is about the same thing, and with what became of that."""
    same = [
        one
        for one in known
        if (one.finding.detector, one.finding.subject.agent, one.finding.subject.tool)
        == (reading.detector, reading.subject.agent, reading.subject.tool)
    ]
    if not same:
        return Standing(reading)
    # What goes on comes before what is over.
    one = max(same, key=lambda entry: (entry.finding.recovered is None, entry.finding.onset))
    reading = _as_found(reading, one.finding)
    if is_single(one):
        return Standing(reading, one.finding, Fate.SINGLE, None, "found in too few trajectories to speak of the tool")
    return _fate(reading, one.finding, incidents, filed)


def _as_found(reading: Reading, finding: Finding) -> Reading:
    """Return a reading with the figures of its finding: those of the incident, which a reader holds beside it.

    A detector measures what it has not spoken of as its rule sees it, which need not be what a finding reports.
    """
    if reading.gate is not Gate.FOUND or finding.recovered is not None:
        return reading
    return replace(reading, value=finding.value, baseline=finding.baseline, unit=finding.unit)


def _fate(reading: Reading, finding: Finding, incidents: Sequence[Incident], filed: Sequence[Incident]) -> Standing:
    key = key_of(finding)
    home = next((one for one in incidents if key in keys_of(one)), None)
    if home is None:
        past = [one for one in filed if key in keys_of(one)]
        if not past:
            return Standing(reading, finding, Fate.KNOWN, None, "over before the window began")
        last = max(past, key=lambda one: one.opened_at)
        return Standing(reading, finding, Fate.KNOWN, last, f"what {last.id} was about, {last.state.value} by now")
    if home.state is State.DISMISSED:
        return Standing(reading, finding, Fate.DISMISSED, home, f"dismissed by a human as {home.id}")
    over = "" if home.state is not State.RESOLVED else ", which is resolved"
    if home.fingerprint == key:
        told = f"incident {home.id}{over}{_as_filed(home, filed)}"
        return Standing(reading, finding, Fate.INCIDENT, home, told)
    what = f"{home.kind.value} of {home.subject}"
    new = "" if any(one.id == home.id for one in filed) else ", not filed yet"
    return Standing(reading, finding, Fate.PART, home, f"belongs to incident {home.id} ({what}){over}{new}")


def _as_filed(home: Incident, filed: Sequence[Incident]) -> str:
    """Say what the last run made of an incident, where that is another figure than this moment's, or nothing yet."""
    known = next((one for one in filed if one.id == home.id), None)
    if known is None:
        return ", not filed yet"
    then, now = (figure(one.observed, one.kind, one.unit) for one in (known, home))
    return "" if then == now else f", at {then} when a run last saw it at {moment(known.last_seen_at)}"
