"""What a number in a sentence is said of, so that the right number of another thing proves nothing.

A known quantity may be bound: to what is counted (`of`), and to what it is a measure of (`about`: a kind of anomaly, a
factor of the account, one trajectory). The part of the sentence around a number names measures, trajectories and
counted things too. Where both sides say something and they differ, the quantity is not the one the sentence means.
What says nothing fits everything: a gate that asked for more would strike out honest prose.
"""

from __future__ import annotations

import re

from analyzer.agent.ends import around
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

AGE = "measure:age"
"""The binding of how long something has gone on: the figure of no kind."""
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
    r"[;,.:](?=\s)|\s(?:because|while|whereas|but|although|where|against|instead|after|since|so"
    r"|than(?!\s+(?:[$\d]|doubl|trebl|tripl|quadrupl|quintupl|half|halv|twice|thrice)))\s"
)
"""Where what is spoken of may change; a bound, "more than doubled", belongs to what stands before it."""
_TRACE = re.compile(r"(?<![0-9a-f])[0-9a-f]{8,32}(?![0-9a-f])")
_ONE = re.compile(
    r"\b(?:runs?|trajector\w+|traces?|worst|peers?|it|this|that|one|example|ends?|lasts?)\b", re.IGNORECASE
)
"""Words by which a sentence speaks of one trajectory, and not of all of them."""
_TOKENS_OF_ALL = re.compile(r"(?<![\d,.] )\btokens\s+(?:is|are|was|were|stands?|rose|fell|went|grew)\b", re.IGNORECASE)
"""Here they are what is spoken of, and not the unit of a number."""
_WELL = re.compile(r"\b(?:healthy|peers?)\b", re.IGNORECASE)
_ILL = re.compile(r"\b(?:worst|affected|looping|failing|failed|broken|this run)\b", re.IGNORECASE)


_PER = (
    r"(?P<run>runs?|trajector(?:y|ies)|traces?|conversations?|sessions?|requests?|tasks?)"
    r"|(?P<call>(?:tool )?calls?|invocations?|lookups?)"
)
_PERIOD = r"(?P<other>steps?|tokens?|users?|customers?|agents?|seconds?|minutes?|hours?|days?|weeks?|months?|years?)"
_PER_AFTER = re.compile(
    rf"\s*(?:per|an?|each|every|/|for (?:each|every))\s+(?:single\s+)?(?:{_PER}|{_PERIOD})\b|\s*(?P<daily>daily"
    rf"|hourly|weekly|monthly)\b"
    r"|\s*(?P<total>in total|altogether|overall|all told|in all)\b",
    re.IGNORECASE,
)
_PER_BEFORE = re.compile(rf"\b(?:each|every|a single|per|an?|one)\s+(?:\w+\s+)?(?:{_PER}|{_PERIOD})\b", re.IGNORECASE)
_DAILY = {"daily": "day", "hourly": "hour", "weekly": "week", "monthly": "month"}
_MORE = r"higher|more|above|up|dearer|slower|longer|larger|increase|rise|growth|jump|greater|additional|extra|worse|too"
_LESS = r"lower|less|below|down|cheaper|faster|shorter|smaller|fewer|decrease|drop|decline|better"
_WAY_AFTER = re.compile(
    rf"\s*(?:(?P<more>{_MORE})\b|(?P<less>{_LESS})\b|(?P<of>of (?:the |its |what )?(?:usual|normal|expect\w*"
    rf"|baseline|before|was|is|it)"
    r"|what|the (?:usual|normal|expected|baseline)|as (?:much|many|high|long|expensive|slow)|its)\b)",
    re.IGNORECASE,
)
_BY = r"(?:\s+(?:about|some|roughly|around|over|nearly|almost|a factor of))*\s*$"
_WAY_BEFORE = re.compile(
    rf"\b(?:(?P<less>(?:fell|drop\w*|decreas\w*|declin\w*|down|shr[aiu]nk|improv\w*|lower\w*)(?: by)?)"
    rf"|(?P<more>(?:by|up))|(?P<of>(?:is|are|stands?|was|were) at|(?<!up )to)){_BY}",
    re.IGNORECASE,
)
NEARLY = 0.85
"""What is nearly something is at least this part of it."""
_BOUND = re.compile(
    r"\b(?:(?P<over>more than|well over|over|at least|above|exceed\w*|upwards of|greater than)"
    r"|(?P<nearly>nearly|almost|not quite|just under|close to|has not quite|all but)"
    r"|(?P<under>less than|fewer than|under|below|at most|no more than))\s+(?:about\s+)?[-$x\u00d7]?\s*$",
    re.IGNORECASE,
)


def per_of(text: str, end: int, clause: str) -> str:
    """Return what an amount that ends at a place is said to be of each: "run", "call", "day", "total"; "" if unsaid."""
    match = _PER_AFTER.match(text, end) or _PER_BEFORE.search(clause)
    if match is None:
        return ""
    found = {name: word for name, word in match.groupdict().items() if word}
    if "daily" in found:
        return _DAILY[found["daily"].lower()]
    return found["other"].lower().rstrip("s") if "other" in found else min(found)


def way_of(text: str, start: int, end: int) -> str:
    """Return how a factor or a per cent is said: "more", "less", "of" what was before; "" where it is not said."""
    after = _WAY_AFTER.match(text, end)
    before = _WAY_BEFORE.search(text[max(start - 40, 0) : start])
    said = {name for match in (after, before) if match for name, word in match.groupdict().items() if word}
    return next((way for way in ("less", "more", "of") if way in said), "")


def bound_of(text: str, start: int) -> str:
    """Return whether what stands before a place makes a bound of a number: "over", "nearly", "under"; else ""."""
    match = _BOUND.search(text[max(start - 30, 0) : start])
    return next(name for name, word in match.groupdict().items() if word) if match is not None else ""


def about_kind(kind: Kind) -> str:
    """Return the binding of a figure of an anomaly; "" for kinds that measure nothing with a name."""
    return "measure:" + ",".join(sorted(_OF_KIND[kind])) if kind in _OF_KIND else ""


def only_about(kind: Kind) -> str:
    """Return the binding of a figure that proves nothing unless what it is of is named beside it."""
    return about_kind(kind).replace("measure:", "only:")


def about_factor(name: str) -> str:
    """Return the binding of a figure of a factor of the account."""
    return f"factor:{name}"


def about_move(name: str) -> str:
    """Return the binding of how many times as much a factor became: no other measure doubled because it did."""
    return f"moved:{name}"


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
    return around(_BREAK, text, at)


def fits(about: str, clause: str, factors: frozenset[str]) -> bool:
    """Tell whether a bound quantity may be what a clause speaks of. `factors` are the names of the account."""
    sort, _, value = about.partition(":")
    said = measures_in(clause)
    if sort == "trajectory":
        return _fits_trajectory(value, clause, said)
    if sort in {"factor", "moved"}:
        spelled = {name for name in factors if re.search(rf"\b{re.escape(name)}\b", clause, re.IGNORECASE)}
        own = factor_measures(value)
        if spelled or sort == "moved":
            return value in spelled or (not spelled and bool(said & own))
        return not own or not said - {"cost"} or bool(said & own)
    if sort == "only":
        return bool(said & set(value.split(",")))
    return not about or not said or bool(said & set(value.split(",")))


def _fits_trajectory(value: str, clause: str, said: frozenset[str]) -> bool:
    role, _, trace_id = value.partition(":")
    if not _ONE.search(clause) and (said & {"cost", "latency"} or _TOKENS_OF_ALL.search(clause)):
        # "Latency is 9.7 s" speaks of the fleet, whatever one run took.
        return False
    named = _TRACE.findall(clause)
    if named:
        return any(trace_id.startswith(prefix) for prefix in named)
    well, ill = bool(_WELL.search(clause)), bool(_ILL.search(clause))
    return well in (ill, role == "healthy")
