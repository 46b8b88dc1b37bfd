"""Prompts: found, rendered exactly, and never with a variable missing or left over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from agent.cases import incident, tool, trajectory, well

from analyzer.agent.answer import ANSWER_SCHEMA, CATEGORIES, DIAGNOSIS_SCHEMA, QUOTE_CHARS
from analyzer.agent.case import build_case
from analyzer.agent.gate import QUOTE_MIN
from analyzer.agent.narrative import AFFECTED, PEER
from analyzer.agent.passages import CUT
from analyzer.errors import PromptError
from analyzer.prompts import FOLDERS, load, names

SHIPPED = {
    "investigate_system": set(),
    "investigate_case": {"mark", "window", "agents", "trace_ids"},
    "ask_system": set(),
    "ask_incident": {"mark", "window", "trace_ids"},
    "ask_fleet": {"mark", "now", "start", "end", "reach", "agents"},
    "ask_fleet_system": set(),
    "follow_up": set(),
    "repair": {"complaint"},
    "last_step": set(),
    "second_reader": {"mark", "claims"},
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_prompts_have_the_variables_the_code_fills(name: str):
    """Each prompt renders with exactly its variables, and nothing of them is left."""
    prompt = load(name)
    assert prompt.variables == SHIPPED[name]
    text = prompt.render(**dict.fromkeys(SHIPPED[name], "VALUE"))
    assert "$" not in text
    assert len(prompt.hash) == 12


def test_all_prompts_are_listed():
    """`doctor` names every prompt that the code fills, and the folder holds no other."""
    assert names() == sorted(SHIPPED)


def test_every_category_is_explained_to_the_model():
    """The prompt says what each category means."""
    text = load("investigate_system").text
    assert all(f"{name}" in text for name in CATEGORIES)


@pytest.mark.parametrize("name", ["ask_system", "investigate_system"])
def test_what_the_case_file_is_made_of_is_explained_to_the_model(name: str):
    """Every kind of section and mark of a case file, and what a pseudonym is, stands in the prompt before it."""
    text = load(name).text
    spans = [tool(number, f"{number}", "word " * 4_000, error="503") for number in range(1, 40)]
    case = build_case(incident(), trajectories=[trajectory(spans)], healthy=[well()])
    sections = set(re.findall(rf"</(\w+):{case.markers.mark}>", case.text))
    assert sections == {"facts", "trajectory", "span"}
    for word in (*sections, "in part", CUT.strip(), AFFECTED if name.startswith("inv") else PEER):
        assert word in case.text
        assert word in text
    assert "the earliest step whose correction would have avoided the failure" in text
    assert "pseudonym" in text
    assert "null" in text


@pytest.mark.parametrize(("name", "schema"), [("ask_system", ANSWER_SCHEMA), ("investigate_system", DIAGNOSIS_SCHEMA)])
def test_the_prompt_names_every_field_of_the_answer(name: str, schema: Mapping[str, Any]):
    """What is to be handed in is said in words as well: gateways without strict tools leave the form to the model."""
    assert [field for field in schema["required"] if field not in load(name).text] == []


@pytest.mark.parametrize("name", ["ask_system", "ask_fleet_system", "investigate_system"])
def test_the_prompt_says_what_the_gate_demands_of_a_quote(name: str):
    """The lengths in the prompt are those that the gate holds a quote to."""
    assert f"{QUOTE_MIN} to {QUOTE_CHARS:,} characters" in load(name).text


@pytest.mark.parametrize("name", ["last_step", "repair"])
def test_where_tools_are_closed_the_submit_tool_is_not(name: str):
    """The model hands in as at any other time: tools and form stay, so that the conversation stays in the cache."""
    text = load(name).text
    assert "with the submit tool" in text
    assert "other tools are closed" in text.lower()
    assert "plain text" not in text


def test_missing_and_unknown_variables_are_named():
    """An error names the prompt, what it lacks and what it does not use."""
    with pytest.raises(PromptError, match=r"repair.*lacks \$complaint, does not use \$mood"):
        load("repair").render(mood="good")


def test_values_are_not_looked_into(tmp_path: Path):
    """A `$name` inside a value stays as it is."""
    (tmp_path / "one.txt").write_text("costs $$5: $what")
    assert load("one", (tmp_path,)).render(what="$what ${x}") == "costs $5: $what ${x}"


def test_the_wheel_comes_before_the_checkout(tmp_path: Path):
    """The first folder that has the file wins."""
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        (folder / "one.txt").write_text(folder.name)
    assert load("one", (first, second)).text == "a"
    assert FOLDERS[0].parts[-2:] == ("_data", "prompts")


@pytest.mark.parametrize("name", ["", "no_such_prompt", "../secret", "a/b"])
def test_a_prompt_that_is_not_there_is_an_error(name: str):
    """Unknown names and names with folders raise PromptError."""
    with pytest.raises(PromptError):
        load(name)


def test_a_broken_file_is_an_error(tmp_path: Path):
    """Bytes that are no UTF-8 and stray dollar signs are named."""
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "stray.txt").write_text("costs $ 5")
    with pytest.raises(PromptError, match="cannot be read"):
        load("bad", (tmp_path,))
    with pytest.raises(PromptError, match=r"\$\$"):
        load("stray", (tmp_path,)).render()
