"""How well an explanation is borne out: one set of rules for the model's and for our own."""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.agent.facts import main_factor, near_onset
from analyzer.types.diagnosis import Verdict
from analyzer.types.report import Incident, Kind

MAIN_SHARE = 0.5
"""A factor that makes at least half of the change is what the change comes from."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of an explanation after the gate."""

    claims: int
    struck: int
    quoted: bool
    """At least one claim stands on a quote from a span of an affected trajectory."""
    decisive: bool
    """The decisive claim stands on such a quote."""
    contradicted: bool
    """Something in it goes against a computed fact."""
    undecided: bool
    """The author says that the cause is not known."""


def verdict_of(standing: Standing, incident: Incident) -> Verdict:
    """Return the verdict.

    *confirmed*: the decisive claim is quoted from a span, nothing was struck out or contradicted, and computed facts
    point the same way (`corroborated`). *likely*: a claim stands and is quoted, or the facts corroborate it.
    *inconclusive*: anything less, a contradiction, or an author who does not know.
    """
    if standing.contradicted or standing.undecided or not standing.claims:
        return Verdict.INCONCLUSIVE
    if standing.decisive and not standing.struck and corroborated(incident):
        return Verdict.CONFIRMED
    return Verdict.LIKELY if standing.quoted or corroborated(incident) else Verdict.INCONCLUSIVE


def lacking(standing: Standing, incident: Incident) -> str:
    """Return what would decide an explanation that is inconclusive, in one sentence; "" for one that is not."""
    if verdict_of(standing, incident) is not Verdict.INCONCLUSIVE:
        return ""
    if not standing.claims:
        return "A quote from an affected trajectory that shows the cause."
    if standing.contradicted:
        return "A cause that agrees with the account and with the changes that were seen."
    if standing.undecided and not standing.quoted:
        return "A step of an affected trajectory that a healthy peer takes differently."
    if standing.undecided:
        return "A change near the onset, or a healthy peer without what is quoted here."
    return "A quote from an affected trajectory, or a change near the onset that goes with it."


def corroborated(incident: Incident) -> bool:
    """Tell whether computed facts single something out: a change at the onset, a main factor, or a loop."""
    factor = main_factor(incident)
    if factor is not None and factor.share >= MAIN_SHARE:
        return True
    if near_onset(incident):
        return True
    return any(finding.kind in {Kind.LOOP, Kind.RUNAWAY} for finding in incident.findings)


_FACTOR_WORDS = {
    "price_change": ("price",),
    "traffic": ("runs", "trajectories", "volume"),
    "context_growth": ("tokens",),
    "model_change": ("mix", "model", "price"),
    "loop": ("steps",),
    "retry_storm": ("steps",),
}
_CHANGE_WORDS = {
    "prompt_change": "prompt",
    "model_change": "model",
    "version_change": "version",
    "price_change": "price",
}
SHARE_MIN = 0.1
"""A factor with less than this part of the change cannot be its cause."""


def contradicts(category: str, incident: Incident) -> bool:
    """Tell whether a category of cause goes against what was computed.

    A changed prompt, model, version or price must have been seen to change; a factor named as the cause must make a
    part of the change worth naming, where there is an account that has it.
    """
    words = _FACTOR_WORDS.get(category)
    shares = [factor.share for factor in incident.account if words and any(word in factor.factor for word in words)]
    if shares and max(shares) >= SHARE_MIN:
        return False
    if shares:
        return True
    changed = _CHANGE_WORDS.get(category)
    return changed is not None and not any(changed in change.what for change in incident.changes)
