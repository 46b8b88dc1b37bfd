"""Canaries: made-up secrets in the forms of real ones, put where agents leak them, and looked for at every exit."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from analyzer.types.trace import Operation, Span, Status
from analyzer.types.trajectory import ordered


def _jwt(core: str) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": core})
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{body}.{core}"


FORMATS: Mapping[str, Callable[[str], str]] = {
    "Anthropic API key": lambda core: f"sk-ant-api03-{core}",
    "OpenAI project key": lambda core: f"sk-proj-{core}",
    "AWS access key": lambda core: f"AKIA{core[:16].upper()}",
    "GitHub token": lambda core: f"ghp_{core}0000",
    "GitLab token": lambda core: f"glpat-{core[:20]}",
    "Slack bot token": lambda core: f"xoxb-{core}",
    "Google API key": lambda core: f"AIza{core}abc",
    "Stripe key": lambda core: f"sk_live_{core}",
    "JSON web token": _jwt,
    "bearer token": lambda core: f"Authorization: Bearer {core}",
    "password in a URL": lambda core: f"postgres://app:{core}@db.internal/main",
    "password in JSON": lambda core: json.dumps({"password": core}),
}
"""By the names that people know them by. The forms are those of the vendors' pages (`masking/vendors.py`)."""
PLACES = ("tool result", "prompt", "error message")


@dataclass(frozen=True, slots=True)
class Canaries:
    """Secrets, and where each was put."""

    secrets: Mapping[str, str]
    """What must be seen nowhere -> its format and the place it was put in."""
    sentences: Mapping[str, str] = field(default_factory=dict)
    """Place -> the text with a secret of every format that goes there."""

    def laced(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Return a trajectory with a text in each tool result, in the first prompt and in each error message.

        Always the same text, so that results that were the same stay so.
        """
        first = next((span.span_id for span in ordered(spans) if span.operation is Operation.CHAT and span.input), None)
        return tuple(self._laced(span, is_first=span.span_id == first) for span in spans)

    def _laced(self, span: Span, *, is_first: bool) -> Span:
        if span.operation is Operation.TOOL and span.output:
            span = replace(span, output=f"{span.output}\n{self.sentences['tool result']}")
        if span.status is Status.ERROR:
            span = replace(span, status_message=f"{span.status_message} {self.sentences['error message']}".strip())
        if is_first:
            span = replace(span, input=_with_message(span.input or "", self.sentences["prompt"]))
        return span

    def seen_in(self, text: str | bytes) -> frozenset[str]:
        """Return which secrets stand in a text, as their format and place."""
        data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
        return frozenset(where for secret, where in self.secrets.items() if secret.encode() in data)


def canaries(seed: str) -> Canaries:
    """Return a secret of each format for each place; the same seed gives the same ones, and no other seed does."""
    secrets: dict[str, str] = {}
    sentences: dict[str, str] = {}
    for place in PLACES:
        said = []
        for name, made in FORMATS.items():
            core = blake2b(f"{seed} {place} {name}".encode(), digest_size=16).hexdigest()
            text = made(core)
            said.append(text)
            # The part that is secret: the core as the format spells it.
            spelt = core[:16].upper() if name == "AWS access key" else core[:20] if name == "GitLab token" else core
            secrets[spelt] = f"{name} in a {place}"
        sentences[place] = "; ".join(said)
    return Canaries(secrets, sentences)


def _with_message(text: str, sentence: str) -> str:
    """Return a prompt with one more message: of a list of messages one more entry, of another text one more line."""
    try:
        messages = json.loads(text)
    except ValueError:
        messages = None
    if isinstance(messages, list) and messages and all(isinstance(one, dict) for one in messages):
        return json.dumps([*messages, {"role": "user", "content": sentence}], ensure_ascii=False)
    return f"{text}\n{sentence}"
