"""How big, since when, because of what: computed from stored amounts, never generated.

parts      what a token of each part costs, by model
lmdi       how much of a change comes from which factor, exactly
periods    the periods a finding compares, and its account
cube       trajectories added up by values and pairs of values
slices     where a rise is: the smallest slice that explains it
changes    what else became different near the onset
severity   how bad it is, by a table
"""

from __future__ import annotations

from analyzer.accounting.changes import rank_changes
from analyzer.accounting.severity import severity

__all__ = ["rank_changes", "severity"]
