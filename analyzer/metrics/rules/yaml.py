"""YAML as Prometheus reads it, of plain values: every text is quoted, so that none can be taken for anything else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN_KEY = re.compile(r"(?!(?:yes|off|true|false|null)\Z)[a-z][a-z_]{2,}")
"""Names that are no number, no date and none of YAML's words."""


def document(value: Mapping[str, Any], comment: str = "") -> str:
    """Return mappings, sequences, texts and numbers as a block of YAML, under a comment. JSON texts are YAML texts."""
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return head + "\n".join(_lines(value)) + "\n"


def _lines(value: Any, indent: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            key = name if _PLAIN_KEY.fullmatch(name) else _flat(name)
            if _is_block(inner):
                yield f"{indent}{key}:"
                yield from _lines(inner, indent + "  ")
            else:
                yield f"{indent}{key}: {_flat(inner)}"
        return
    for inner in value:
        if _is_block(inner):
            first, *rest = _lines(inner, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}- {_flat(inner)}"


def _is_block(value: Any) -> bool:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str) and bool(value)


def _flat(value: Any) -> str:
    # DEL and the like are written as they are by JSON, and are no YAML.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" if ord(one) <= 0xFFFF else one for one in text)  # noqa: PLR2004 - the basic plane
