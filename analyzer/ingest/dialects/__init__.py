"""The dialects: one table a file, and the tuple of all of them."""

from __future__ import annotations

from functools import lru_cache

from analyzer.ingest.dialects.base import Dialect, named_sources, narrowed
from analyzer.ingest.dialects.claude_code import CLAUDE_CODE
from analyzer.ingest.dialects.langfuse import LANGFUSE
from analyzer.ingest.dialects.langsmith import LANGSMITH
from analyzer.ingest.dialects.mcp import MCP
from analyzer.ingest.dialects.mlflow import MLFLOW
from analyzer.ingest.dialects.openinference import OPENINFERENCE
from analyzer.ingest.dialects.openllmetry import OPENLLMETRY
from analyzer.ingest.dialects.pydantic_ai import PYDANTIC_AI
from analyzer.ingest.dialects.semconv import SEMCONV
from analyzer.ingest.dialects.vercel import VERCEL
from analyzer.ingest.raw import RawSpan

DIALECTS: tuple[Dialect, ...] = (
    *(
        dialect.over(SEMCONV)
        for dialect in (
            CLAUDE_CODE,
            OPENINFERENCE,
            LANGFUSE,
            LANGSMITH,
            VERCEL,
            MLFLOW,
            PYDANTIC_AI,
            MCP,
            OPENLLMETRY,
        )
    ),
    SEMCONV,
)
"""In the order in which they are asked; the last one takes everything."""

_MARKS = tuple((mark, dialect) for dialect in DIALECTS for mark in dialect.marks)
_SCOPES = tuple((scope, dialect) for dialect in DIALECTS for scope in dialect.scopes)


_NAMED = {dialect.name: named_sources(dialect) for dialect in DIALECTS}
_NARROWED: dict[tuple[str, frozenset[str], frozenset[str]], Dialect] = {}
_NARROWED_MAX = 1000
"""Sets of attributes whose dialects are remembered; a fleet sends a few dozen."""


def dialect_of(raw: RawSpan) -> Dialect:
    """Return the dialect that a span is written in: by its marks, then by its scope, else the conventions.

    Only the sources are left that this span can have: of the hundred attributes that a dialect knows, a span has ten.
    """
    dialect = _told(raw)
    names, resource_names = _NAMED[dialect.name]
    key = (dialect.name, names.intersection(raw.attributes), resource_names.intersection(raw.resource))
    found = _NARROWED.get(key)
    if found is None:
        if len(_NARROWED) >= _NARROWED_MAX:
            _NARROWED.clear()
        found = _NARROWED[key] = narrowed(dialect, *key[1:])
    return found


def _told(raw: RawSpan) -> Dialect:
    attributes = raw.attributes
    for mark, dialect in _MARKS:
        if mark in attributes:
            return dialect
    return _scoped(raw.scope)


@lru_cache(maxsize=_NARROWED_MAX)
def _scoped(scope: str) -> Dialect:
    return next((dialect for beginning, dialect in _SCOPES if scope.startswith(beginning)), DIALECTS[-1])
