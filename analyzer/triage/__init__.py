"""Findings become incidents: grouped by cause, recognised from earlier runs, moved through their life, ranked. Pure."""

from analyzer.triage.alerts import carriers, with_alerts
from analyzer.triage.life import as_of, newest_first, triage
from analyzer.triage.rules import Rules

__all__ = ["Rules", "as_of", "carriers", "newest_first", "triage", "with_alerts"]
