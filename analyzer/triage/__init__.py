"""Findings become incidents: grouped by cause, recognised from earlier runs, moved through their life, ranked. Pure."""

from analyzer.triage.life import as_of, newest_first, triage
from analyzer.triage.rules import Rules

__all__ = ["Rules", "as_of", "newest_first", "triage"]
