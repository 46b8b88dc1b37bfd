"""Keeping what a human says of an incident, wherever it is said: with its entry in the audit log, or not at all."""

from __future__ import annotations

from analyzer.errors import UsageError
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.audit import Act, Action
from analyzer.types.document import time_text
from analyzer.types.report import ACTIVE, Incident
from analyzer.types.word import Said, Word


def say(store: SqliteTrajectories, incident: str, word: Word) -> Incident:
    """Keep a word and log it, in one transaction; return the incident as it stands then.

    Raises NotFoundError, and UsageError where there is nothing to take back.
    """
    memory = SqliteIncidents(store.state)
    with store.state.writing():
        before = memory.incident(incident)
        if word.said is Said.REOPENED and before.state in ACTIVE:
            raise UsageError(f"{before.id} is {before.state.value}: there is nothing to reopen")
        if word.said is Said.UNMUTED and before.muted_until is None:
            raise UsageError(f"{before.id} is not muted")
        found = memory.say(before.id, word)
        arguments = {"reason": word.reason, "until": None if word.until is None else time_text(word.until)}
        log = SqliteAudit(store.state, store.masker, actor=word.by)
        log.write(Act(Action.WORD_SAID, found.id, word.said.value, arguments))
    return found
