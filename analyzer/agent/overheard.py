"""A reply overheard while it is written: each claim goes through the gate as soon as it is complete, and is told.

Nothing unproven is told: no claim before its last brace, none that the gate does not let stand, none after one that was
struck out where a repair is still to come. What was told is always the beginning of what stands in the reply being
written: a reply that says otherwise than an earlier one (a repair, another try) tells nothing more, and the whole
answer, which is judged as if nobody had listened, says what counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from analyzer.agent.answer import CLAIMS_MAX, AnswerError, DraftClaim, claim_in
from analyzer.types.explained import Statement, Tell

JudgeClaim = Callable[[DraftClaim], Statement | None]
"""Says what of a claim stands; None where it does not. Judges the claims of one reply in their order."""


@dataclass(slots=True)
class Claims:
    """Cuts the objects in the top-level list `claims` out of JSON that arrives in pieces. Reads each character once."""

    text: str = ""
    at: int = 0
    depth: int = 0
    """Open brackets."""
    quoted: bool = False
    escaped: bool = False
    begun: int = 0
    """Where the string or object that matters began."""
    key: str = ""
    """The latest string at the top level."""
    inside: bool = False
    """In the list of claims."""
    over: bool = False
    """Nothing more is to be cut out: the list has ended, or this is no JSON object with one."""

    def feed(self, piece: str) -> list[str]:
        """Take in a piece; return the JSON of the objects that it completes."""
        self.text += piece
        found: list[str] = []
        while self.at < len(self.text) and not self.over:
            char = self.text[self.at]
            if self.quoted:
                self._in_string(char)
            elif char == '"':
                self.quoted = True
                self.begun = self.at if self.depth == 1 else self.begun
            elif char in "[{":
                self._open(char)
            elif char in "]}":
                done = self._close(char)
                found += [done] if done else []
            elif self.depth == 0 and not char.isspace():
                self.over = True
            elif char == "," and self.depth == 1:
                self.key = ""
            self.at += 1
        return found

    def _in_string(self, char: str) -> None:
        if self.escaped:
            self.escaped = False
        elif char == "\\":
            self.escaped = True
        elif char == '"':
            self.quoted = False
            if self.depth == 1:
                self.key = self.text[self.begun + 1 : self.at]

    def _open(self, char: str) -> None:
        if self.depth == 0 and char == "[":
            self.over = True
        if self.depth == 1 and char == "[" and self.key == "claims":
            self.inside = True
        elif self.depth == 2 and self.inside:  # noqa: PLR2004 - the object, its list
            self.begun = self.at
        self.depth += 1

    def _close(self, char: str) -> str:
        self.depth -= 1
        if self.depth == 2 and self.inside and char == "}":  # noqa: PLR2004 - the object, its list
            return self.text[self.begun : self.at + 1]
        self.over = self.over or self.depth <= 0 or (self.depth == 1 and self.inside)
        return ""


@dataclass(slots=True)
class Overheard:
    """Listens to the replies of one conversation."""

    judge: Callable[[], JudgeClaim]
    """Gives a judge for the claims of one reply."""
    leaks: Callable[[Mapping[str, Any]], bool]
    """Whether an answer gives away what no answer needs; see `Obedience.leaks`."""
    submit: str
    """The tool that hands in an answer."""
    tell: Tell
    repairable: bool = True
    """Whether a struck claim will be repaired, so that what comes after it may change."""
    told: list[Statement] = field(default_factory=list)
    _block: int | None = None
    _claims: Claims = field(default_factory=Claims)
    _read: list[Any] = field(default_factory=list)
    _standing: int = 0
    _judge: JudgeClaim | None = None

    def begin(self) -> None:
        """Listen anew: a try begins."""
        self._block, self._claims, self._read, self._standing, self._judge = None, Claims(), [], 0, self.judge()

    def hear(self, block: int, tool: str, piece: str) -> None:
        """Take in a piece of the answer; text counts where it is one, pieces of other calls do not."""
        if self._judge is None or tool not in {"", self.submit} or not piece:
            return
        if block != self._block:
            if self._block is not None and self._read:
                return
            self._block, self._claims = block, Claims()
        for found in self._claims.feed(piece):
            if self._judge is not None and not self._take(found, self._judge):
                self._judge = None

    def _take(self, text: str, judge: JudgeClaim) -> bool:
        """Tell of a claim where it may be told; return whether to go on listening."""
        claim = self._next(text)
        if claim is None:
            return False
        try:
            statement = judge(claim)
        except Exception:  # noqa: BLE001 - the whole answer is judged again, and whatever this was is dealt with there
            return False
        if statement is None:
            return not self.repairable
        place, self._standing = self._standing, self._standing + 1
        if place < len(self.told):
            return self.told[place] == statement
        self.told.append(statement)
        self.tell(statement)
        return True

    def _next(self, text: str) -> DraftClaim | None:
        """Read the next claim; None where it has not the form, is one too many, or gives away what no answer needs."""
        try:
            self._read.append(json.loads(text))
            claim = claim_in(self._read[-1], "claim")
        except (AnswerError, ValueError, RecursionError):
            return None
        return None if len(self._read) > CLAIMS_MAX or self.leaks({"claims": self._read}) else claim
