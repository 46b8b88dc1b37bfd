"""What a number in a sentence is said of, so that the right number of another thing proves nothing.

A known quantity may be bound: to what is counted (`of`), and to what it is a measure of (`about`: a kind of anomaly, a
factor of the account, one trajectory). The part of the sentence around a number names measures, trajectories and
counted things too. Where both sides say something and they differ, the quantity is not the one the sentence means.
What says nothing fits everything: a gate that asked for more would strike out honest prose.
"""

from __future__ import annotations

import re

from analyzer.types.report import Kind

_MEASURES = (
    ("cost", r"costs?|costed|costing|spend|spending|spent|expens\w*|dear\w*|money|bills?|budget"),
    ("latency", r"latenc\w+|durations?|slow\w*|response times?|wait\w*|takes? longer|delay\w*"),
    ("tokens", r"tokens"),
    ("steps", r"(?<!per )steps(?! \d)|inferences|tool calls"),
    ("errors", r"errors?|fail\w*"),
    ("retries", r"retr(?:y|ies|ied|ying)|tr(?:y|ies|ied) again"),
    ("success", r"success\w*|goals?|miss(?:es|ed|ing)?"),
    ("truncation", r"truncat\w*|cut (?:off|short)"),
    ("volume", r"traffic|volume"),
    ("price", r"prices?|priced"),
    ("mix", r"mix"),
)
MEASURE = {name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for name, words in _MEASURES}
"""Measure -> the words that name it."""

_OF_KIND: dict[Kind, frozenset[str]] = {
    Kind.COST: frozenset({"cost"}),
    Kind.BUDGET: frozenset({"cost"}),
    Kind.TOOL_COST: frozenset({"cost"}),
    Kind.TOKENS: frozenset({"tokens"}),
    Kind.STEPS: frozenset({"steps"}),
    Kind.RETRIES: frozenset({"retries", "errors"}),
    Kind.ERRORS: frozenset({"errors"}),
    Kind.TOOL_ERRORS: frozenset({"errors"}),
    Kind.LATENCY: frozenset({"latency"}),
    Kind.TOOL_LATENCY: frozenset({"latency"}),
    Kind.SUCCESS: frozenset({"success", "errors"}),
    Kind.TRUNCATION: frozenset({"truncation"}),
    Kind.VOLUME: frozenset({"volume"}),
    Kind.LOOP: frozenset({"errors", "retries", "steps"}),
    Kind.RUNAWAY: frozenset({"errors", "retries", "steps"}),
}

STRANGERS = "strangers"
"""What is counted and is nothing that the analyst counts."""
_COUNTED = (
    ("trajectories", r"trajector(?:y|ies)|runs?|traces?|conversations?|sessions?"),
    ("steps", r"steps?"),
    ("inferences", r"inferences?|replies|model calls?"),
    ("calls", r"(?:tool )?calls?|invocations?|lookups?"),
    ("errors", r"errors?|failures?|failed steps?"),
    ("retries", r"retries|attempts?"),
    ("repeats", r"repeats?|repetitions?"),
    ("input tokens", r"input tokens?|prompt tokens?"),
    ("output tokens", r"output tokens?|completion tokens?"),
    (STRANGERS, (r"users?|customers?|tenants?|accounts?|people|persons?|servers?|instances?|nodes?|regions?|agents?"
     r"|models?|versions?|tables?|tools?|replicas?|pods?|databases?|queries|teams?|files?|countries")),
)  # fmt: skip
_NOUN = re.compile(
    r"\s*(?:(?:more|other|different|identical|same|failed|failing|affected|repeated|consecutive|such|distinct|stored|of"
    r"|the|all|total|its|these|those|looping|worst|healthy|recent|new|unique|concurrent|paying)\s+){0,3}"
    r"(?:" + "|".join(f"(?P<{name.replace(' ', '_')}>{words})" for name, words in _COUNTED) + r")\b",
    re.IGNORECASE,
)
_SHARED = re.compile(
    r"\s*(?:%|per ?cent\w*)?\s*of\s+(?:(?:the|all|its|\d[\d,]*)\s+)*(?:(?P<change>changes?|rise|increase|growth|excess"
    r"|jump|difference)|(?P<trajectories>trajector(?:y|ies)|runs?|traces?|conversations?))\b",
    re.IGNORECASE,
)
_BREAK = re.compile(
    r"[;,.:](?=\s)|\s(?:because|while|whereas|but|although|where|against|than|instead|after|since|so)\s"
)
_TRACE = re.compile(r"(?<![0-9a-f])[0-9a-f]{8,32}(?![0-9a-f])")
_ONE = re.compile(
    r"\b(?:runs?|trajector\w+|traces?|worst|peers?|it|this|that|one|example|ends?|lasts?)\b", re.IGNORECASE
)
"""Words by which a sentence speaks of one trajectory, and not of all of them."""
_WELL = re.compile(r"\b(?:healthy|peers?)\b", re.IGNORECASE)
_ILL = re.compile(r"\b(?:worst|affected|looping|failing|failed|broken|this run)\b", re.IGNORECASE)


def about_kind(kind: Kind) -> str:
    """Return the binding of a figure of an anomaly; "" for kinds that measure nothing with a name."""
    return "measure:" + ",".join(sorted(_OF_KIND[kind])) if kind in _OF_KIND else ""


def about_factor(name: str) -> str:
    """Return the binding of a figure of a factor of the account."""
    return f"factor:{name}"


def about_trajectory(trace_id: str, *, healthy: bool) -> str:
    """Return the binding of a figure of one trajectory."""
    return f"trajectory:{'healthy' if healthy else 'affected'}:{trace_id}"


def measures_in(text: str) -> frozenset[str]:
    """Return the measures that a text names."""
    return frozenset(name for name, words in MEASURE.items() if words.search(text))


def factor_measures(name: str) -> frozenset[str]:
    """Return what a factor of the account is a measure of: `input tokens per step` is one of tokens."""
    if name.startswith("runs"):
        return frozenset({"volume"})
    return measures_in(name.split(" per ", maxsplit=1)[0])


def counted_after(text: str) -> str:
    """Return what is counted by a number that this text follows: a class of things; "" where that is not said."""
    match = _NOUN.match(text)
    return match.lastgroup.replace("_", " ") if match is not None and match.lastgroup else ""


def shared_after(text: str) -> str:
    """Return what a share that this text follows is a part of: "change" or "trajectories"; "" where it is not said."""
    match = _SHARED.match(text)
    return match.lastgroup if match is not None and match.lastgroup else ""


def clause_around(text: str, at: int) -> str:
    """Return the part of a sentence around a place."""
    start, end = 0, len(text)
    for match in _BREAK.finditer(text):
        if match.end() <= at:
            start = match.end()
        elif match.start() >= at:
            end = match.start()
            break
    return text[start:end]


def fits(about: str, clause: str, factors: frozenset[str]) -> bool:
    """Tell whether a bound quantity may be what a clause speaks of. `factors` are the names of the account."""
    sort, _, value = about.partition(":")
    said = measures_in(clause)
    if sort == "trajectory":
        return _fits_trajectory(value, clause, said)
    if sort == "factor":
        spelled = {name for name in factors if re.search(rf"\b{re.escape(name)}\b", clause, re.IGNORECASE)}
        own = factor_measures(value)
        return value in spelled if spelled else not own or not said - {"cost"} or bool(said & own)
    return not about or not said or bool(said & set(value.split(",")))


def _fits_trajectory(value: str, clause: str, said: frozenset[str]) -> bool:
    role, _, trace_id = value.partition(":")
    if not _ONE.search(clause) and said & {"cost", "latency"}:
        # "Latency is 9.7 s" speaks of the fleet, whatever one run took.
        return False
    named = _TRACE.findall(clause)
    if named:
        return any(trace_id.startswith(prefix) for prefix in named)
    well, ill = bool(_WELL.search(clause)), bool(_ILL.search(clause))
    return well in (ill, role == "healthy")
