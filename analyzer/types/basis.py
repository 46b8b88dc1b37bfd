"""What an explanation rests on: when the same incident has become another question.

A model is asked once about an incident, and again only where there is something to ask that it was not asked before.
The facts asked about are kept with the explanation and only added to, so that a fact which comes and goes is new once,
and a figure that creeps is held against what was asked about, not against the run before.
"""

from __future__ import annotations

from collections.abc import Iterable

from analyzer.types.report import Incident, Severity
from analyzer.types.worse import clearly_worse

_SEVERITY = "severity "
_OBSERVED = "observed "


def facts_of(incident: Incident) -> tuple[str, ...]:
    """Return the facts of an incident that make it another question when they are new.

    Its severity, its figure, the kinds of its findings with what they are about, and where it is: version, model, and
    what its foremost slice agrees in.
    """
    subject = incident.subject
    where = [("version", subject.version), ("model", subject.model)]
    where += incident.places[0].where if incident.places else ()
    facts = [
        f"{_SEVERITY}{incident.severity.value}",
        f"{_OBSERVED}{incident.observed!r} {incident.unit}",
        *(f"{finding.kind.value} of {finding.subject}" for finding in incident.findings),
        *(f"{name} {value}" for name, value in where if value),
    ]
    return tuple(dict.fromkeys(facts))


def new_facts(incident: Incident, asked: Iterable[str]) -> tuple[str, ...]:
    """Return what is new since a model was asked about these facts; empty where nothing is.

    New are a severity above every one asked about, a figure that is clearly worse (`types.worse`) than every one asked
    about in its unit, and any other fact that was not there. What became milder is no news to ask about.
    """
    known = set(asked)
    fresh = []
    for fact in facts_of(incident):
        if fact.startswith(_SEVERITY):
            is_new = incident.severity.rank > max(_ranks(known), default=-1)
        elif fact.startswith(_OBSERVED):
            before = _figures(known, incident.unit)
            is_new = all(clearly_worse(incident.kind, figure, incident.observed) for figure in before)
        else:
            is_new = fact not in known
        if is_new:
            fresh.append(fact)
    return tuple(fresh)


def joined(asked: Iterable[str], incident: Incident) -> tuple[str, ...]:
    """Return the facts that a model has been asked about once it is asked about an incident now."""
    return tuple(dict.fromkeys((*asked, *facts_of(incident))))


def _ranks(facts: Iterable[str]) -> list[int]:
    return [Severity(fact.removeprefix(_SEVERITY)).rank for fact in facts if fact.startswith(_SEVERITY)]


def _figures(facts: Iterable[str], unit: str) -> list[float]:
    """Return the figures asked about in a unit; none in it makes any figure new."""
    pairs = (fact.removeprefix(_OBSERVED).partition(" ") for fact in facts if fact.startswith(_OBSERVED))
    return [float(figure) for figure, _, in_unit in pairs if in_unit == unit]
