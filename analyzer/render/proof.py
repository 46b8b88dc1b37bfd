"""What a replay said of a cause, as one line."""

from __future__ import annotations

from analyzer.render.numbers import count, moment
from analyzer.render.text import one_line
from analyzer.types.diagnosis import Proof

_NAME_COLUMNS_MAX = 80


def proof_text(proof: Proof) -> str:
    """Return outcome, figures and time: `the prompt is proven to be the cause: ...`."""
    figures = (
        f"{one_line(proof.measure, _NAME_COLUMNS_MAX)} in {proof.unchanged.shown} of {proof.unchanged.of} replies to"
        f" {count(len(proof.steps), 'affected step')} as recorded, and in {proof.restored.shown} of {proof.restored.of}"
        f" with the {proof.factor.value} of before"
    )
    return f"{proof.factor.value}, {proof.outcome.value}: {figures}; {one_line(proof.why)} ({moment(proof.at)})."
