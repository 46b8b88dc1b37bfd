"""The catalogue: every detector with its settings in force, where each value comes from, and why it is what it is.

What a setting means, and the source of its value, stands once: in the docstring under its field. It is read from there,
so that no page and no command can say anything else.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise

from analyzer.detectors.base import Detector
from analyzer.detectors.per_agent import PerAgent
from analyzer.types.catalogue import DEFAULT, Entry, Setting, Verdicts
from analyzer.types.report import Incident, State
from analyzer.types.word import Said


def catalogue(
    plain: Sequence[Detector], configured: Sequence[Detector], incidents: Sequence[Incident], source: str
) -> tuple[Entry, ...]:
    """Return an entry for each detector; `plain` and `configured` are the same ones without and with settings.

    `source` names the file that the settings came from.
    """
    return tuple(_entry(one, other, incidents, source) for one, other in zip(plain, configured, strict=True))


def verdicts_of(incidents: Sequence[Incident]) -> Verdicts:
    """Count what humans said of incidents."""
    dismissed = sum(one.state is State.DISMISSED for one in incidents)
    confirmed = sum(one.word is not None and one.word.said is Said.CONFIRMED for one in incidents)
    return Verdicts(len(incidents), dismissed, confirmed)


def _entry(plain: Detector, configured: Detector, incidents: Sequence[Incident], source: str) -> Entry:
    module = sys.modules[type(plain).__module__]
    own = [one for one in incidents if one.findings and one.findings[0].detector == plain.name]
    return Entry(
        name=plain.name,
        kind=plain.kind,
        looks_at=_first_sentence(module.__doc__ or type(plain).__doc__ or ""),
        origin=module.__name__,
        enabled=configured.enabled if isinstance(configured, PerAgent) else True,
        settings=_settings(plain, configured, source),
        agents=tuple((rule.pattern, rule.given) for rule in configured.rules)
        if isinstance(configured, PerAgent)
        else (),
        verdicts=verdicts_of(own),
    )


def _settings(plain: Detector, configured: Detector, source: str) -> tuple[Setting, ...]:
    before, after = getattr(plain, "settings", None), getattr(configured, "settings", None)
    if not is_dataclass(before) or isinstance(before, type):
        return ()
    why = field_docs(type(before))
    found = []
    for spec in fields(before):
        default, value = getattr(before, spec.name), getattr(after, spec.name)
        origin = DEFAULT if value == default else source
        found.append(Setting(spec.name, value, default, origin, why.get(spec.name, "")))
    return tuple(found)


def field_docs(of: type) -> Mapping[str, str]:
    """Return the docstring under each field of a class, folded to one line; empty where its source is not at hand."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = next((node.body for node in tree.body if isinstance(node, ast.ClassDef)), [])
    docs = {}
    for node, following in pairwise(body):
        told = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and told:
            docs[node.target.id] = " ".join(str(following.value.value).split())  # type: ignore[attr-defined]
    return docs


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.strip().split("\n\n", 1)[0].split())
    return paragraph.split(". ", 1)[0].rstrip(".") + "."
