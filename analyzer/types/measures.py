"""What is measured, of the fleet and of the analyst itself: metric families, and the amounts that are added to them.

The names of the fleet's are those that the default queries ask for, so that whoever has traces and no metrics gets
both from one place. Names and units follow Prometheus' conventions (prometheus.io/docs/practices/naming).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

OTHER = "other"
"""The label value of what comes after the last one that is told apart."""
SUM = "sum"
"""Stands in the place of a bucket's bound for the sum of a histogram."""


class Shape(StrEnum):
    """The types of Prometheus that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its labels."""

    name: str
    """As in its `# TYPE` line of OpenMetrics: a counter without `_total`."""
    shape: Shape
    text: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Upper bounds of a histogram, without the last, infinite one."""
    once: bool = False
    """Each trajectory counts once and for good: it cannot move to another series later, for counters never fall."""

    @property
    def sample(self) -> str:
        """The name of its samples in PromQL, of a histogram the part before `_bucket`, `_sum` and `_count`."""
        return f"{self.name}_total" if self.shape is Shape.COUNTER else self.name


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A trajectory that a count came from."""

    trace_id: str
    value: float
    at_s: float
    """When it was counted, in Unix seconds: Prometheus takes exemplars of one series in order only."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What is added to one series of a family, or what a gauge stands at."""

    name: str
    """Of the family."""
    labels: tuple[str, ...]
    """Values, in the order of the family's labels; of a histogram one more, the bucket's bound or `SUM`."""
    value: float
    exemplar: Exemplar | None = None


def observed(
    family: Family, labels: tuple[str, ...], value: float, exemplar: Exemplar | None = None
) -> Iterator[Amount]:
    """Yield what one value adds to a histogram: one to its bucket, itself to the sum."""
    place = bisect_left(family.bounds, value)
    bound = family.bounds[place] if place < len(family.bounds) else math.inf
    yield Amount(family.name, (*labels, bound_text(bound)), 1.0, exemplar)
    yield Amount(family.name, (*labels, SUM), value)


def bound_text(bound: float) -> str:
    """Return a bucket's bound as its label `le` has it."""
    return "+Inf" if math.isinf(bound) else repr(float(bound))


STEPS_LE = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0, 89.0)
SECONDS_LE = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
LONG_SECONDS_LE = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
SAME_CALLS_MIN = 5
"""So often one tool is called with the same arguments before a trajectory counts as looping in the metrics. A count is
all that a metric can have: the loop detector begins to look at three, and reads what the calls brought."""

_C, _G, _H = Shape.COUNTER, Shape.GAUGE, Shape.HISTOGRAM
TOKENS = Family("agent_tokens", _C, "Tokens; input includes what a cache held.", ("agent", "model", "phase"))
COST = Family("agent_cost_usd", _C, "Cost of the inferences with a known price, in US dollars.", ("agent", "model"))
UNPRICED = Family("agent_unpriced_inferences", _C, "Inferences without a known price.", ("agent", "model"))
TRAJECTORIES = Family("agent_trajectories", _C, "Finished trajectories.", ("agent", "outcome"), once=True)
RETRIES = Family("agent_retries", _C, "Steps that tried again what had failed.", ("agent",))
RETRIED = Family("agent_trajectories_retried", _C, "Trajectories that tried anything again.", ("agent",))
TRUNCATED = Family("agent_trajectories_truncated", _C, "Trajectories with a reply cut at a limit.", ("agent",))
LOOPED = Family(
    "agent_trajectories_looped", _C, f"Trajectories with {SAME_CALLS_MIN} or more identical tool calls.", ("agent",)
)
STEPS = Family("agent_steps", _H, "Steps of a finished trajectory.", ("agent",), STEPS_LE, once=True)
SECONDS = Family(
    "agent_trajectory_seconds", _H, "Duration of a finished trajectory.", ("agent",), LONG_SECONDS_LE, once=True
)
TOOL_SECONDS = Family("agent_tool_seconds", _H, "Duration of tool calls.", ("agent", "tool"), SECONDS_LE)
TOOL_FAILURES = Family("agent_tool_failures", _C, "Tool calls that failed.", ("agent", "tool"))
TOOL_COST = Family("agent_tool_cost_usd", _C, "Cost of tool calls by rule, in US dollars.", ("agent", "tool"))
BUILD = Family("agent_build_info", _G, "1 while an agent runs in this version.", ("agent", "version"))

FLEET = (
    TRAJECTORIES, TOKENS, COST, UNPRICED, STEPS, SECONDS, RETRIES, RETRIED, TRUNCATED, LOOPED, TOOL_SECONDS,
    TOOL_FAILURES, TOOL_COST, BUILD,
)  # fmt: skip
"""What the trajectories say."""

RUNS = Family("analyzer_runs", _C, "Runs by how they ended: done, gaps (not all was seen), failed.", ("outcome",))
FINDINGS = Family("analyzer_findings", _C, "Findings of all runs.", ("kind",))
OPENED = Family("analyzer_incidents_opened", _C, "Incidents filed for the first time.", ("kind", "severity"))
DELIVERIES = Family("analyzer_deliveries", _C, "Messages: sent, failed, held (waits).", ("route", "outcome"))
GAPS = Family("analyzer_gaps", _C, "Things that runs could not see or do.")
LLM_CALLS = Family("analyzer_llm_calls", _C, "Model calls of runs.")
LLM_TOKENS = Family("analyzer_llm_tokens", _C, "Tokens of these calls.", ("phase",))
LLM_COST = Family("analyzer_llm_cost_usd", _C, "Cost of these calls in US dollars.")
PHASE_SECONDS = Family("analyzer_phase_seconds", _C, "Time spent in the phases of runs.", ("phase",))
LAST_SUCCESS = Family(
    "analyzer_last_success_timestamp_seconds", _G, "When the last run was finished: the dead man's switch."
)
LAST_DURATION = Family("analyzer_run_duration_seconds", _G, "How long the last run took.")
LAST_TRAJECTORIES = Family("analyzer_run_trajectories", _G, "Trajectories that the last run looked at.")
LAST_GAPS = Family("analyzer_run_gaps", _G, "Things that the last run could not see or do.")
ACTIVE = Family("analyzer_incidents_active", _G, "Incidents that go on.", ("kind", "severity"))
WAITING = Family("analyzer_trajectories_uncounted", _G, "Trajectories that are in no metric yet.")
FOLDED = Family(
    "analyzer_amounts_folded", _C, "Amounts that were added to `other`, for want of room for their series.", ("family",)
)
DRILL_RECALL = Family("analyzer_drill_recall", _G, "Found among the faults that the last drill planted.")
DRILL_PRECISION = Family("analyzer_drill_precision", _G, "True incidents among those that the last drill reported.")
DRILL_DELAY = Family("analyzer_drill_delay_seconds", _G, "Median time from a planted fault to its incident.")
DRILL_LEAKS = Family("analyzer_drill_leaked_canaries", _G, "Made-up secrets that the last drill saw come out.")
DRILL_FOUND = Family("analyzer_drill_found", _G, "1 where the last drill's faults of a kind were found.", ("kind",))
DRILL_SEEN = Family(
    "analyzer_drill_seen",
    _G,
    "1 where a detector saw every kind of fault that it had to in the last drill.",
    ("detector",),
)
DRILL_AT = Family("analyzer_drill_timestamp_seconds", _G, "When the last drill was finished.")
DRILL = (DRILL_RECALL, DRILL_PRECISION, DRILL_DELAY, DRILL_LEAKS, DRILL_FOUND, DRILL_SEEN, DRILL_AT)

OWN = (
    RUNS, FINDINGS, OPENED, DELIVERIES, GAPS, LLM_CALLS, LLM_TOKENS, LLM_COST, PHASE_SECONDS, LAST_SUCCESS,
    LAST_DURATION, LAST_TRAJECTORIES, LAST_GAPS, ACTIVE, WAITING, FOLDED,
    *DRILL,
)  # fmt: skip
"""What the analyst says of itself."""

FAMILIES: Mapping[str, Family] = {one.name: one for one in (*FLEET, *OWN)}
