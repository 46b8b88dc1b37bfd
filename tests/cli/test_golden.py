from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support.cli import analyzer
from support.golden import shop_spans
from support.incidents import finding, incident
from support.spans import trace_id

from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Kind, Subject
from analyzer.types.trace import Outcome

LOOKUP = ("lookup_order", {"order": "A-1"})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a run that loops, an incident that holds it, and a healthy run of the same task."""
    path = tmp_path / "fleet.db"
    put(path, 1, [LOOKUP] * 6, outcome=Outcome.FAILURE)
    put(path, 2, [LOOKUP])
    with SqliteTrajectories(path) as trajectories:
        held = incident(
            kind=Kind.LOOP,
            subject=Subject(agent="shop"),
            findings=(finding(Kind.LOOP, "shop"), finding(Kind.STEPS, "shop")),
            trace_ids=(trace_id(1),),
        )
        SqliteIncidents(trajectories.connection).save_incidents([held], run_trace_id=trace_id(99))
    return path


def put(path: Path, number: int, calls, **options) -> None:
    """Store one more run."""
    with SqliteTrajectories(path) as trajectories:
        trajectories.add(shop_spans(number, calls, at_s=1000 * number, **options))


def test_a_failed_run_becomes_a_case_and_goes_red_when_the_bug_returns(store: Path, tmp_path: Path) -> None:
    """Added from an incident; nothing to judge; green once fixed; red when it is back, with the steps and the diff."""
    folder, junit, markdown = tmp_path / "cases", tmp_path / "out.xml", tmp_path / "out.md"
    added = analyzer("golden", "add", trace_id(1), "--to", str(folder), "--store", str(store))
    path = folder / f"shop-{trace_id(1)[:12]}.json"
    assert (added.code, added.stderr) == (0, "")
    assert added.stdout.splitlines() == [
        f"wrote {path}: red on {trace_id(1)[:12]}, green on {trace_id(2)[:12]}",
        "    must not loop  (incident inc-0123456789)",
        "    at most 6 steps  (incident inc-0123456789)",
        "shrunk to 7 of 13 steps: 6, 7, 8, 9, 10, 11, 12",
    ]

    def run(*arguments: str):
        return analyzer("golden", "run", str(folder), *arguments, "--store", str(store))

    nothing = run()
    assert (nothing.code, nothing.stdout.split()[:2]) == (3, ["cannot", "judge"])
    put(store, 3, [LOOKUP])
    assert (run().code, run("--json").stdout.count('"green"')) == (0, 3)
    assert run().stdout == "green: 1 green\n", "what is well is only counted"
    put(store, 4, [LOOKUP] * 5)
    red = run("--junit", str(junit), "--markdown", str(markdown))
    assert red.code == 1
    assert "steps 2 to 10: the same call to lookup_order with the same result 5 times" in red.stdout
    suite = ET.parse(junit).find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "2",
        "failures": "1",
        "skipped": "0",
    }
    assert f"--- healthy run {trace_id(2)[:12]}, ends here" in markdown.read_text("utf-8")
    assert run("--since", "2026-11-16T00:50:00Z").code == 1
    assert run("--since", "2027-01-01T00:00:00Z").code == 3
    assert run(trace_id(3)).code == 0


def test_flags_are_the_humans_word(store: Path, tmp_path: Path) -> None:
    """What is asked for is expected, alone where nothing is to be proposed; the file says who asked."""
    added = analyzer(
        "golden", "add", trace_id(1), "--to", str(tmp_path), "--store", str(store), "--no-proposals", "--json",
        "--steps-at-most", "5", "--must-call", 'lookup_order:{"order": "A-1"}', "--answer-contains", "on its way",
        "--control", trace_id(2),
    )  # fmt: skip
    assert added.code == 0, added.stderr
    case = json.loads(added.stdout)["case"]
    assert case["match"] == "goal"
    assert case["expectations"] == [
        {"check": "must_call", "tool": "lookup_order", "arguments": {"order": "A-1"}, "because": "asked for"},
        {"check": "steps_at_most", "at_most": 5.0, "because": "asked for"},
        {"check": "answer_contains", "text": "on its way", "because": "asked for"},
    ]
    assert {name: case["given"][name] for name in ("model", "system")} == {
        "model": "claude-sonnet-5-5",
        "system": "Be kind.",
    }
    assert [one["name"] for one in case["given"]["tools"]] == ["lookup_order", "refund"]
    assert json.loads(Path(json.loads(added.stdout)["path"]).read_text("utf-8")) == case


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--no-proposals", "--must-call", "lookup_order"], "it can never fail"),
        (["--must-call", "refund"], "it can never pass"),
        (["--no-proposals"], "nothing to expect"),
        (["--must-call", "lookup_order:{"], "the arguments are no JSON"),
        (["--answer-matches", "("], "is no regular expression"),
        (["--cost-at-most", "0"], "needs a number above 0"),
        (["--control", trace_id(1)], "the control is the bad run itself"),
    ],
)
def test_what_proves_nothing_is_refused(store: Path, tmp_path: Path, arguments, why) -> None:
    """One line with the reason, exit 2, and no file."""
    folder = tmp_path / "cases"
    refused = analyzer("golden", "add", trace_id(1), "--to", str(folder), "--store", str(store), *arguments)
    assert (refused.code, refused.stdout, folder.exists()) == (2, "", False)
    assert why in refused.stderr


def test_without_a_healthy_run_nothing_is_added(store: Path, tmp_path: Path) -> None:
    """A healthy run of another agent shows nothing; the next step is named."""
    put(store, 7, [LOOKUP] * 6, outcome=Outcome.FAILURE, answer="sorry")
    with SqliteTrajectories(store) as trajectories:
        trajectories.add([*_of_agent(8, "lonely", Outcome.FAILURE)])
    refused = analyzer("golden", "add", trace_id(8), "--to", str(tmp_path / "c"), "--store", str(store), "--no-loop")
    assert refused.code == 2
    assert "no healthy run of lonely with this task is stored; --control TRACE names one" in refused.stderr


def _of_agent(number: int, agent: str, outcome: Outcome):
    from dataclasses import replace

    spans = shop_spans(number, [LOOKUP] * 6, at_s=9000, outcome=outcome)
    return [replace(span, agent=agent) for span in spans]


def test_a_case_is_not_written_over_unasked(store: Path, tmp_path: Path) -> None:
    """A case that people reviewed stays; --replace writes it anew."""
    add = ("golden", "add", trace_id(1), "--to", str(tmp_path), "--store", str(store))
    assert analyzer(*add).code == 0
    again = analyzer(*add)
    assert (again.code, "--replace writes it anew" in again.stderr) == (2, True)
    assert analyzer(*add, "--replace").code == 0


@pytest.mark.parametrize("form", ["jsonl", "langfuse", "phoenix", "openai-evals"])
def test_cases_go_out_as_the_data_sets_of_others(store: Path, tmp_path: Path, form) -> None:
    """Each form has the fields that its reader asks for, and the case's expectations in so many words."""
    assert analyzer("golden", "add", trace_id(1), "--to", str(tmp_path), "--store", str(store)).code == 0
    exported = analyzer("golden", "export", str(tmp_path), "--format", form)
    assert exported.code == 0
    document = json.loads(exported.stdout)
    fields = {
        "jsonl": ["agent", "control", "expectations", "given", "goal", "incidents", "made_at", "match", "name",
                  "recording", "replay", "schema", "shrunk", "task"],
        "langfuse": ["datasetName", "expectedOutput", "id", "input", "metadata", "sourceTraceId"],
        "phoenix": ["action", "inputs", "metadata", "name", "outputs"],
        "openai-evals": ["item"],
    }  # fmt: skip
    assert sorted(document) == fields[form]
    if form != "jsonl":
        assert "must not loop" in exported.stdout
    listed = analyzer("golden", "list", str(tmp_path))
    assert "at most 6 steps" in listed.stdout


def test_a_folder_without_cases_judges_nothing(store: Path, tmp_path: Path) -> None:
    """An empty folder, a missing one and a case that can never fail are usage errors, and no green."""
    for folder in (tmp_path, tmp_path / "missing"):
        ended = analyzer("golden", "run", str(folder / "x"), "--store", str(store))
        assert (ended.code, ended.stdout) == (2, "")
    assert analyzer("golden", "add", trace_id(1), "--to", str(tmp_path / "c"), "--store", str(store)).code == 0
    path = next((tmp_path / "c").glob("*.json"))
    document = json.loads(path.read_text("utf-8"))
    document["expectations"] = [{"check": "steps_at_most", "at_most": 500}]
    path.write_text(json.dumps(document), "utf-8")
    ended = analyzer("golden", "run", str(tmp_path / "c"), "--store", str(store))
    assert ended.code == 2
    assert "it can never fail" in ended.stderr


def test_the_list_marks_cases_whose_prompt_has_changed(store: Path, tmp_path: Path) -> None:
    """Against a store only: the newest run that a case is about says whether it still asks the right thing."""
    assert analyzer("golden", "add", trace_id(1), "--to", str(tmp_path / "c"), "--store", str(store)).code == 0
    put(store, 3, [LOOKUP])
    listed = ("golden", "list", str(tmp_path / "c"))
    assert "stale" not in analyzer(*listed, "--store", str(store)).stdout
    put(store, 4, [LOOKUP], system="Be brief.")
    marked = analyzer(*listed, "--store", str(store))
    assert f"    stale: the prompt changed, as run {trace_id(4)[:12]} shows\n" in marked.stdout
    document = json.loads(analyzer(*listed, "--store", str(store), "--json").stdout)
    assert document["cases"][0]["stale"] == {"trace_id": trace_id(4), "changed": ["prompt"]}
    assert "stale" not in analyzer(*listed).stdout


def test_a_run_from_before_the_case_makes_it_not_stale(tmp_path: Path) -> None:
    """Of a case made from the latest run, an older run with the prompt of that time says nothing."""
    store = tmp_path / "fleet.db"
    put(store, 1, [LOOKUP], system="Be brief.")
    put(store, 2, [LOOKUP])
    put(store, 3, [LOOKUP] * 6, outcome=Outcome.FAILURE)
    folder = ("--to", str(tmp_path / "c"))
    made = analyzer("golden", "add", trace_id(3), *folder, "--control", trace_id(2), "--no-loop", "--store", str(store))
    assert made.code == 0, made.stderr
    listed = analyzer("golden", "list", str(tmp_path / "c"), "--store", str(store), "--json")
    assert json.loads(listed.stdout)["cases"][0]["stale"] is None


def test_the_case_of_another_run_is_never_written_over(store: Path, tmp_path: Path) -> None:
    """Ids may begin alike: the second case has the whole id in its name, and the first stays as it is."""
    add = ("golden", "add", trace_id(1), "--to", str(tmp_path), "--store", str(store))
    assert analyzer(*add).code == 0
    path = next(tmp_path.glob("*.json"))
    path.write_text(path.read_text("utf-8").replace(trace_id(1), trace_id(1)[:-4] + "beef"), "utf-8")
    before = path.read_bytes()
    again = analyzer(*add, "--replace")
    assert (again.code, path.read_bytes() == before) == (0, True), again.stderr
    other = next(one for one in tmp_path.glob("*.json") if one != path)
    assert other.stem == path.stem.removesuffix(trace_id(1)[:12]) + trace_id(1)
    assert json.loads(other.read_text("utf-8"))["recording"]["trace_id"] == trace_id(1)
    assert analyzer(*add).code == 2, "it is there already"


@pytest.mark.parametrize("options", [(), ("--replace",)], ids=["new", "again"])
def test_what_is_no_case_is_never_written_over(store: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    """A file of something else under the name of a case stays, and is called what it is."""
    add = ("golden", "add", trace_id(1), "--to", str(tmp_path), "--store", str(store))
    assert analyzer(*add).code == 0
    path = next(tmp_path.glob("*.json"))
    path.write_text('{"my": "notes"}', "utf-8")
    ended = analyzer(*add, *options)
    assert (ended.code, path.read_text("utf-8")) == (2, '{"my": "notes"}')
    said = "is no golden case, and is not written over: move it, or take another folder"
    assert ended.stderr == f"analyzer: {path} {said}\n"
