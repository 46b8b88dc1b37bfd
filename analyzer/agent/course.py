"""What became of it: that it did not rise, is over, is mild, has lasted for weeks, against the course of an incident.

A denial has no number in it and shares every word with the facts. What is said of the incident's own measure is judged;
what is said of a part of it ("output tokens per step did not rise") is left to the account.
"""

from __future__ import annotations

import re

from analyzer.agent.binding import MEASURE, factor_measures, measures_in
from analyzer.types.report import ACTIVE, Incident, Kind

_NO_CHANGE_OF = frozenset({Kind.LOOP, Kind.RUNAWAY, Kind.SILENCE, Kind.INJECTION, Kind.METERING, Kind.TOOL_CHOICE})
"""Kinds whose figure is nothing that rose."""
_RISE = r"ris\w+|rose|increas\w*|gr[eo]w\w*|climb\w*|jump\w*|surg\w*|worsen\w*|go(?:ne)? up|chang\w+|deviat\w*"
_ROSE = r"rose|risen|rises|increased|increases|grew|grown|climbed|jumped|surged|doubled|tripled|went up|is up"
_LONGER = frozenset({Kind.LOOP, Kind.RUNAWAY, Kind.RETRIES, Kind.STEPS, Kind.COST, Kind.BUDGET})
_FALLEN = r"f[ae]ll\w*|dropp\w*|drops?|decreas\w*|declin\w*|shr[aiu]nk\w*|improv\w*|went down|halved"
_NO = r"(?:not|never|no longer|hardly|scarcely|barely)|n't"
_LESS = r"(?:lower|less|smaller|shorter|fewer|cheaper|faster|better) than|below|under|beneath"
_USUAL = r"(?:(?:the|its|what(?: is| was)?|of|any)\s+)*(?:expected|usual|normal|baseline|before|ever|average)\w*"
_OWN = {"success": r"miss(?:ed)? (?:the |its )?goals?|misses|failures?"}
"""Of goals those that are missed rise, and the share of success falls."""
_RISEN = 1.05
"""A figure this many times the usual has risen; below, that it did not is no lie."""
_STILL = re.compile(
    r"\b(?:not|never|no|nor|yet to|hardly|until|unless|if|once|when|would|should|will|may|might|could)\b|n't\b",
    re.IGNORECASE,
)
_OVER = re.compile(
    r"\b(?:(?:it|this|incident|problem|issue|fault|situation|{nouns})\s+(?:(?:has|have|had|is|are|was|were"
    r"|seems?|did|by now"
    r"|already|now|since)\s+)*(?P<over>recover\w*|subsid\w*|back to normal|over\b|resolved|gone\b(?! on)|ended|stopped"
    r"|fixed|healed|false alarm|a false alarm|as expected|harmless|fine\b)"
    r"|(?P<all>(?:everything|all|nothing) (?:works?|is|was|runs?) (?:as expected|as usual|fine|well|normal|wrong|amiss"
    r"|unusual))|(?P<alarm>(?:is|was|be) a false alarm))"
    .replace("{nouns}", "cost|latency|tokens|errors?|retries|missed goals|goals|truncation|repeats|steps"),
    re.IGNORECASE,
)  # fmt: skip
_SEVERITY = re.compile(
    r"\bseverity\s+(?:is|was|of|stays|remains)?\s*(?:at\s+)?(?P<a>low|medium|high|critical)\b"
    r"|\b(?P<b>low|medium|high|critical)[ -]severity\b|\b(?P<c>low|medium|high|critical) in severity\b",
    re.IGNORECASE,
)
_LASTING = re.compile(
    r"\b(?:for|since|over|these|the (?:last|past))\s+(?:(?:many|several|some|a few|the last|the past)\s+)*"
    r"(?P<span>days|weeks|months|years)\b|\b(?P<ago>days|weeks|months|years)\s+ago\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\b(?:go(?:es|ing)? on|gone on|beg[au]n|started|last(?:s|ed|ing)|persist\w*|ongoing|broken|fail\w*)\b",
    re.IGNORECASE,
)
_LEAST_DAYS = {"days": 1.5, "weeks": 8, "months": 35, "years": 400}


def misjudged(sentence: str, incident: Incident) -> str | None:
    """Return what a sentence says of the course of an incident that was computed otherwise, or None."""
    if not incident.findings:
        return None
    return (
        _denied(sentence, incident) or _over(sentence, incident) or _graded(sentence, incident)
        or _lasted(sentence, incident)
    )  # fmt: skip


def unmeasured(text: str, incident: Incident) -> str | None:
    """Object to the rise of an amount that neither a detector nor the account measured; None for what may well be.

    A loop, a retry or a longer run costs more and takes longer by itself: of these any amount may be said to rise.
    """
    kinds = {incident.kind, *(finding.kind for finding in incident.findings)}
    if not incident.findings or kinds & _LONGER:
        return None
    measured = set().union(*(measures_in(kind.value.replace("-", " ")) for kind in kinds))
    for factor in incident.account:
        measured |= factor_measures(factor.factor)
    for name in sorted({"cost", "latency", "tokens"} - measured):
        said = (
            rf"\b(?:{MEASURE[name].pattern})(?:\s+(?:of|per|for)\s+(?:(?:an?|the|each)\s+)?\w+)?\s+(?:has\s+"
            rf"|have\s+)?(?:\w+ly\s+)?"
        )
        if re.search(rf"{said}(?:{_ROSE})\b", text, re.IGNORECASE):
            return f"no rise of {name} was measured"
    return None


def own_nouns(incident: Incident) -> str:
    """Return a pattern of the words that name what an incident is a rise of; "" for kinds that are no rise."""
    if incident.kind in _NO_CHANGE_OF:
        return ""
    names = sorted(measures_in(incident.kind.value.replace("-", " ").removeprefix("tool ")))
    if "errors" in names and "success" in names:
        names.remove("success")
    return "|".join(_OWN.get(name, MEASURE[name].pattern) for name in names)


def _denied(sentence: str, incident: Incident) -> str | None:
    """Object to a rise that is denied, and to one that is said to be none."""
    noun = own_nouns(incident)
    if not noun or incident.ratio is None or incident.ratio <= _RISEN:
        return None
    # A part of it ("input tokens", "tokens per step", "latency of the model") may well not have risen.
    own = rf"(?<!input )(?<!output )(?<!write )(?<!read )(?<!cached )(?<!the same )\b(?:{noun})(?! per step| of | in )"
    near = r"(?:\s+[\w-]+){0,3}?\s+"
    denials = (
        rf"{own}{near}?(?:\s*(?:{_NO}))\s+(?:\w+\s+){{0,2}}?(?:{_RISE})\b",
        rf"{own}{near}(?:no|not|hardly|barely)\s+(?:any\s+)?(?:higher|more|slower|longer|worse|larger|dearer)\s+than\s+{_USUAL}",
        rf"{own}{near}(?:unchanged|flat|stable|constant|steady|as (?:expected|usual|before|ever)|the same(?! way))\b",
        rf"{own}{near}(?:{_LESS})\s+{_USUAL}",
        rf"{own}{near}within\s+{_USUAL}\s+(?:range|bounds?|limits?|values?)",
        rf"{own}{near}\d[\d.,]*\s?(?:x|times)\s+(?:lower|less|smaller|cheaper|faster)\b",
        (
            rf"\b(?:no|not a|without a|without any|never a)\s+(?:\w+\s+)?(?:rise|increase|growth|jump|change"
            rf"|surge)\s+(?:in|of)\s+(?:the\s+)?(?:{noun})(?! per | of )"
        ),
        rf"{own}{near}?(?:\s*(?:has|have)\s+)?(?:steadily\s+)?(?:{_FALLEN})\b(?!\s+(?:out|over|apart|short|behind))",
        (
            rf"\b(?:a|the)\s+(?:\w+\s+)?(?:fall|drop|decrease|decline|reduction)\s+(?:in|of)\s+"
            rf"(?:the\s+)?(?:{noun})(?! per | of )"
        ),
    )
    for pattern in denials:
        for match in re.finditer(pattern, sentence, re.IGNORECASE):
            inside = re.split(rf"(?:{noun})", match.group(), flags=re.IGNORECASE)[-1]
            # "Did not stay the same" denies twice, and says that it rose.
            own_no = pattern in {denials[0], denials[1]}
            if len(re.findall(rf"(?:\b(?:{_NO}|no)|n't)(?=\s)", inside, re.IGNORECASE)) <= own_no:
                return "it denies the rise that was measured"
    return None


def _over(sentence: str, incident: Incident) -> str | None:
    """Object to the end of what still goes on."""
    if incident.state not in ACTIVE:
        return None
    for match in _OVER.finditer(sentence):
        nothing = match.group().lower().startswith("nothing")
        if nothing and not re.search(r"wrong|amiss|unusual", match.group(), re.IGNORECASE):
            continue
        if not _STILL.search(sentence[max(match.start() - 30, 0) : match.end()].replace("nothing", "")):
            return "it says that all is well or over; it still goes on"
    return None


def _graded(sentence: str, incident: Incident) -> str | None:
    for match in _SEVERITY.finditer(sentence):
        said = next(word for word in match.groups() if word).lower()
        if said != incident.severity.value and not _STILL.search(sentence[max(match.start() - 12, 0) : match.end()]):
            return f"the severity is {incident.severity.value}, not {said}"
    return None


def _lasted(sentence: str, incident: Incident) -> str | None:
    began = min([incident.onset, *(one.began or one.onset_low for one in incident.findings)])
    days = (incident.last_seen_at - began).total_seconds() / 86400
    for match in _LASTING.finditer(sentence):
        span = (match.group("span") or match.group("ago")).lower()
        said = _GOES_ON.search(sentence[: match.start()]) and not _STILL.search(sentence[: match.start()])
        if said and days < _LEAST_DAYS[span]:
            return f"it has lasted {days * 24:.0f} h, not {span}"
    return None
