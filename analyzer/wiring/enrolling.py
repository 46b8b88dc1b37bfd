"""The analyst in a catalogue of agents: what it says of itself, and what the catalogue's terms leave of its limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analyzer.agent.investigate import Means
from analyzer.agent.tools.catalogue import CASE, FLEET
from analyzer.config import Settings
from analyzer.render.links import Links
from analyzer.selfwatch.registry.argus import Argus
from analyzer.selfwatch.registry.enrolment import Enrolment
from analyzer.selfwatch.registry.own import own
from analyzer.types.report import Gap
from analyzer.types.terms import Terms
from analyzer.wiring.opening import open_model


@dataclass(frozen=True, slots=True)
class Enrolling:
    """What is left after a catalogue was asked."""

    settings: Settings
    """With limits that are never wider than they were."""
    enrolment: Enrolment | None
    terms: Terms

    def bound(self, means: Means) -> Means:
        """Return means that keep to the terms."""
        if self.terms.steps_max is not None and self.terms.steps_max <= means.limits.steps:
            # Neither a repair nor a second reader: either would be a call beyond the last one that is allowed.
            means = replace(means, limits=replace(means.limits, repairs=0), second_reader=False)
        return replace(means, tools=self.terms.tools)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What went wrong when the catalogue was asked."""
        return () if self.enrolment is None else self.enrolment.gaps

    @property
    def said(self) -> str:
        """The terms in words; "" where there are none."""
        terms, parts = self.terms, []
        if terms.is_barred:
            parts.append("no model may be asked")
        if terms.steps_max is not None:
            parts.append(f"at most {terms.steps_max} model calls a conversation")
        if terms.usd_max is not None:
            parts.append(f"at most ${terms.usd_max:g} a run")
        if terms.tools is not None:
            parts.append(f"no tools but {', '.join(sorted(terms.tools))}")
        return f"by the catalogue of agents: {'; '.join(parts)}" if parts else ""


def enrolled(settings: Settings) -> Enrolling:
    """Enter the analyst in the catalogue that is set, if one is, and narrow the settings to its terms."""
    argus = open_argus(settings)
    if argus is None:
        return Enrolling(settings, None, Terms())
    links = Links(settings.base_url or "")
    model = open_model(settings)
    registration = own(
        settings.base_url,
        name=settings.argus_name,
        needs_token=settings.serve_token is not None,
        model=None if model is None else model.name,
        tools=(tool.name for tool in (*CASE, *FLEET)),
    )
    enrolment = Enrolment(
        argus,
        registration,
        seconds=settings.argus_timeout_s,
        enters=settings.argus_token is not None,
        consumer=settings.metrics_instance,
        page=lambda incident: links.incident(incident) or "",
    )
    terms = enrolment.begin()
    return Enrolling(narrowed(settings, terms), enrolment, terms)


def open_argus(settings: Settings) -> Argus | None:
    """Return the catalogue that is set, or None. Nothing is sent yet. Raises UsageError."""
    if settings.argus_url is None:
        return None
    return Argus(
        settings.argus_url,
        token=settings.argus_token,
        usd_per_unit=settings.argus_unit_usd,
        timeout_s=settings.argus_timeout_s,
    )


def narrowed(settings: Settings, terms: Terms) -> Settings:
    """Return settings within terms: each limit is the smaller of both."""
    steps = settings.investigation_steps if terms.steps_max is None else terms.steps_max
    usd = settings.budget_usd if terms.usd_max is None else terms.usd_max
    return replace(
        settings,
        llm="off" if terms.is_barred or terms.steps_max == 0 else settings.llm,
        investigation_steps=min(settings.investigation_steps, steps),
        budget_usd=min(settings.budget_usd, usd),
        investigation_usd=min(settings.investigation_usd, usd),
    )
