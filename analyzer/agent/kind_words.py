"""Words that say, of a kind of incident, what the incident is: true of it whatever evidence they stand beside.

"It goes round in circles" shares no word with a repeated call, and is what a person would say of it. Such words tie a
sentence to nothing, so they prove nothing; but of the kind that was found they are not foreign to the evidence either.
Of another kind they are: "sluggish" says something of a latency, and nothing of a failing tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from analyzer.agent.subjects import stems
from analyzer.types.report import Incident, Kind

_MANNER = """
    abnormal abnormally abrupt abruptly amiss anomalous anomaly atypical bad badly behave behaved behaves behaving
    behavior behaviour blip compared comparison consistently currently degraded degrades deteriorated deteriorates
    deviates deviation down drift drifted hitherto largely line lots majority markedly misbehaves misbehaving moment
    mostly normally noticeable noticeably odd oddly ordinary outlier past persistent persistently persists
    pronounced rarely recover recovered recovers regressed regression shift shifted shifts sideways significant
    significantly strange substantially unexpected unexpectedly unusual unusually visibly worsened worsens
"""
"""Of every kind: that it is other than it was."""
_DEAR = """
    bill bills burn burning burns cash charge charged charges consume consumes consuming consumption costlier costly
    eats economical economy extra inflated jump jumped jumps money outlay overspend overspending overspends paying
    pays premium pricey pricier roof spend spends uneconomical
"""
_SLOW = """
    ages bottleneck bottlenecked crawl crawling crawls dawdle dawdles dead delay delayed delaying delays drag
    dragged dragging drags feet forever hang hanging hangs hold holding holds kept lag lagging lags lengthy patience
    pause pauses people prolonged responds responsive responsiveness slows sluggish sluggishly stall stalled
    stalling stalls suffer suffered suffers tardy waited
"""
_BROKEN = """
    abort aborted aborting aborts blow blowing blows bomb bombs break breaking breaks collapse collapsed collapses
    crash crashed crashes crashing defunct dependable die died dies dying dysfunctional ends fall falling falls
    faulty finish finishes flakiness flaky invocation invocations refusal refusals refuse refused refuses reject
    rejected rejects reliability reliable throwing throws unavailable unreliable unresponsive unstable unusable
    upset
"""
_POOR = """
    accomplish accomplishes achieve achieved achieves breaks complaint correct deliver delivers disappoint
    disappointed disappointing disappoints dropped finish finishes fulfil fulfilled incorrect lets mistaken
    objective poor poorly quality satisfied satisfy unachieved unfulfilled unhelpful unmet unresolved unsatisfactory
    unsolved useless
"""
_REPEATS = """
    action actions anywhere arguments avail break breaks burn burning burns caught circle circles circling cycle
    cycles cycling endless endlessly forward fruitless fruitlessly futile gives giving hammer hammering hammers
    hopeless hopelessly identical identically infinite invoke invoked invokes learn learned learning learns learnt
    lookup move moving notice notices nowhere pointless pointlessly realise realised realises realize round rounds
    sooner spin spinning spins stopped stuck succeed succeeded succeeding succeeds trapped unproductive unsuccessful
    unsuccessfully useless vain
"""
_AGAIN = """
    attempted attempts first flaky hiccup hiccups intermittent intermittently knock knocks persistence pile piles
    rarely reattempt reattempts resend resends resubmit round temporarily temporary transient unstable
"""
_CUT = """
    abruptly breaks capped ceiling chop chopped clipped conclusion cut cuts ending endings final incomplete lack
    lacks message mid midway partial replies reply response responses room sentence shortened text texts unfinished
"""
_MORE = """
    ballooned balloons bloat bloated chew chews consume consumes consuming consumption context contexts gobble
    gobbles heavier heavy longer prompts swallow swallows swollen verbose voluminous wordier wordy
"""
_LONG = """
    detour detours hops needless needlessly roundabout route scenic unnecessarily unnecessary
"""
_GONE = """
    absence absent appears disappeared dormant gone idle inactive offline quiet silence silent vanished
"""
_FEWER = """
    burst busier busy crowd deluge flood load rush spike surge swamped
"""
_WORDS: Mapping[Kind, str] = {
    Kind.COST: _DEAR,
    Kind.TOOL_COST: _DEAR,
    Kind.BUDGET: _DEAR,
    Kind.TOKENS: _MORE,
    Kind.STEPS: _LONG + _MORE,
    Kind.LATENCY: _SLOW,
    Kind.TOOL_LATENCY: _SLOW,
    Kind.ERRORS: _BROKEN,
    Kind.TOOL_ERRORS: _BROKEN,
    Kind.SUCCESS: _POOR,
    Kind.LOOP: _REPEATS + _LONG,
    Kind.RUNAWAY: _REPEATS + _LONG + _DEAR,
    Kind.RETRIES: _AGAIN,
    Kind.TRUNCATION: _CUT,
    Kind.SILENCE: _GONE,
    Kind.VOLUME: _FEWER,
}


@cache
def _stems_of(kind: Kind) -> frozenset[str]:
    return stems(_MANNER + _WORDS.get(kind, ""))


def words_of(incident: Incident) -> frozenset[str]:
    """Return the stems of the words that say what an incident is, by the kinds of its findings."""
    kinds: Iterable[Kind] = {incident.kind, *(finding.kind for finding in incident.findings)}
    return frozenset().union(*(_stems_of(kind) for kind in kinds))
