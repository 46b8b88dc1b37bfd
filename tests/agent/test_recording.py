"""What a model said is written down once and played back: the same again, and against changed prompts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from agent.cases import WORST, answer, means, the_case
from agent.scripting import look, submit

from analyzer.agent.investigate import Investigation, investigate
from analyzer.agent.model import Model, ModelReply, Stop, ToolCall
from analyzer.agent.recording import RecordingModel, ReplayedModel
from analyzer.agent.scripted import ScriptedModel
from analyzer.agent.text import plain
from analyzer.errors import ModelError, UsageError
from analyzer.types.diagnosis import Ending
from analyzer.types.trace import Tokens

SECRET = "sk-ant-api03-" + "Qk7zR2mV9xWb4LpT8sYd" * 2


def hide(text: str) -> str:
    """Mask the one secret."""
    return text.replace(SECRET, "<secret:0123456789ab>")


def asked(model: Model, case=None, mask=plain) -> Investigation:
    """Investigate the case with a model."""
    case = case or the_case()
    return investigate(case.incident, case, means(model, mask=mask))


def recorded(path: Path, *replies: ModelReply | ModelError, mask=plain) -> Investigation:
    """Investigate the case and record it."""
    recording = RecordingModel(ScriptedModel(replies), path, mask)
    found = asked(recording, mask=mask)
    recording.close()
    return found


def test_a_recording_played_back_gives_the_same_investigation(tmp_path: Path):
    """Same diagnosis, evidence, cost, transcript and ending, without the model; nothing differs or is left over."""
    path = tmp_path / "one.jsonl"
    echo = ({"type": "thinking", "thinking": "hm", "signature": "abc"},)
    first = recorded(path, replace(look("outline", trace_id=WORST, page=1), echo=echo), submit(answer()))
    replayed = ReplayedModel(path, plain)
    assert asked(replayed) == first
    assert first.diagnosis.by == replayed.name == "scripted"
    assert first.diagnosis.ending is Ending.ANSWERED
    assert (replayed.differences, replayed.unused) == ([], [])


def test_a_changed_prompt_gets_the_replies_of_its_predecessor_and_is_told(tmp_path: Path):
    """Other prompts are what a recording is for: they are answered by position, and where they differ is said."""
    path = tmp_path / "one.jsonl"
    first = recorded(path, look(), submit(answer()))
    replayed = ReplayedModel(path, plain)

    class Reworked:
        """Asks with other words."""

        name = replayed.name

        def reply(self, request):
            """Ask."""
            return replayed.reply(replace(request, system=f"Reworked. {request.system}"))

    assert asked(Reworked()).diagnosis == first.diagnosis
    about = the_case().incident.id
    old = json.loads(path.read_text("utf-8").splitlines()[1])["request"]["system"]
    before, after = f"{old[:60]}...", f"Reworked. {old}"[:60] + "..."
    assert replayed.differences == [
        f"request {number} about {about} differs from the recording at system: {before!r} became {after!r}"
        for number in (1, 2)
    ]


def test_what_the_recording_has_no_reply_to_is_unavailable(tmp_path: Path):
    """A conversation that goes on longer ends as if the model could not be reached, and says where."""
    path = tmp_path / "one.jsonl"
    recorded(path, submit(answer()))
    lines = path.read_text("utf-8").splitlines(keepends=True)
    short = tmp_path / "short.jsonl"
    short.write_text(lines[0], "utf-8")
    replayed = ReplayedModel(short, plain)
    found = asked(replayed)
    assert found.diagnosis.ending is Ending.UNAVAILABLE
    about = the_case().incident.id
    assert f"has no reply to request 1 about {about}" in found.diagnosis.note
    assert replayed.differences == [f"request 1 about {about} has no reply in the recording {short}"]
    other = ReplayedModel(path, plain)
    assert other.unused == [f"1 recorded reply about {about} was not asked for"]


def test_how_a_model_failed_is_recorded_too(tmp_path: Path):
    """An error comes back as the same ending with the same words."""
    path = tmp_path / "one.jsonl"
    first = recorded(path, ModelError("the rate limit was reached", ending="unavailable"))
    assert asked(ReplayedModel(path, plain)) == first
    assert "the rate limit was reached" in first.diagnosis.note


def test_a_recording_holds_no_secret_and_is_for_its_owner(tmp_path: Path):
    """Requests, replies and the provider's own blocks are masked, and only its owner can read the file."""
    path = tmp_path / "one.jsonl"
    call = ToolCall(f"id {SECRET}", f"search {SECRET}", {"text": SECRET, SECRET: "v"})
    named = {"response_id": f"msg {SECRET}", "model": f"claude {SECRET}", "usage": Tokens(10, 10)}
    calling = ModelReply(tool_calls=(call,), stop=Stop.TOOLS, **named)
    leaking = ModelReply(f"the key is {SECRET}", stop=Stop.DONE, echo=({"text": SECRET},), **named)
    first = recorded(path, calling, leaking, leaking, mask=hide)
    assert SECRET not in str(first.transcript)
    text = path.read_text("utf-8")
    assert SECRET not in text
    assert "<secret:0123456789ab>" in text
    assert path.stat().st_mode & 0o077 == 0
    assert asked(ReplayedModel(path, hide), mask=hide).diagnosis == first.diagnosis


def test_a_line_cut_off_at_the_end_is_left_out(tmp_path: Path):
    """A recorder that was killed leaves a piece of a line: the rest is played back, and the piece is told."""
    path = tmp_path / "one.jsonl"
    recorded(path, look(), submit(answer()))
    path.write_text(path.read_text("utf-8")[:-100], "utf-8")
    replayed = ReplayedModel(path, plain)
    assert replayed.differences == [f"line 3 of the recording {path} is cut off and left out"]
    assert asked(replayed).diagnosis.ending is Ending.UNAVAILABLE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "is empty"),
        ("{}\n", "line 1: no line of analyzer.recording/1"),
        ('{"schema":"analyzer.recording/1","model":"m"}\nnonsense\n', "line 2: no line of analyzer.recording/1"),
        (
            '{"schema":"analyzer.recording/1","model":"m"}\n{"about":"x","request":{},"request_sha256":"","reply":{}}\n',
            "line 2: no line of analyzer.recording/1",
        ),
    ],
    ids=["none", "empty", "no header", "no json", "no reply"],
)
def test_what_is_no_recording_is_refused_by_its_line(text: str | None, said: str, tmp_path: Path):
    """A file that is something else is an error that names the line and the way to a recording."""
    path = tmp_path / "one.jsonl"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match="`--record FILE` makes a recording") as raised:
        ReplayedModel(path, plain)
    assert said in str(raised.value)


def test_a_recording_is_never_written_over(tmp_path: Path):
    """What was paid for once is not lost to a second run with the same flag."""
    path = tmp_path / "one.jsonl"
    recorded(path, submit(answer()))
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is there already; name another file"):
        RecordingModel(ScriptedModel([]), path, plain)
    assert path.read_bytes() == before
    assert json.loads(before.splitlines()[0]) == {"model": "scripted", "schema": "analyzer.recording/1"}
