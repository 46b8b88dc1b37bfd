"""What is remembered, and what is found elsewhere, holds for the same program only."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from analyzer.config import load
from analyzer.detectors.program import program_of_detectors
from analyzer.wiring.helping import program_of_detection


@pytest.mark.parametrize("library", [np, scipy])
def test_another_library_to_reckon_with_is_another_program(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two instances with another numpy or scipy do not take each other's parts: the last digits may differ."""
    settings = load({}).settings
    program_of_detectors.cache_clear()
    here = program_of_detection(settings)
    monkeypatch.setattr(library, "__version__", "0.0")
    program_of_detectors.cache_clear()
    there = program_of_detection(settings)
    monkeypatch.undo()
    program_of_detectors.cache_clear()
    assert b"" not in {here, there}
    assert here != there
    assert program_of_detection(settings) == here
