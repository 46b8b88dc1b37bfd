"""A clean-up agent: deletes what is due, record by record. A batch: same tool, same reply, other arguments."""

from __future__ import annotations

import random

from analyzer.simulation.script import Call, Confusion, Failure, Material, Role, Script, Tool, dumps


def _plan(rng: random.Random, calls_n: int) -> Script:
    bucket = rng.choice(("recordings", "uploads", "exports"))
    records = [f"rec_{rng.getrandbits(40):010x}" for _ in range(max(1, calls_n - 1))]
    calls = [Call("What is due?", "list_expired", {"bucket": bucket}, dumps(records))]
    for number, record in enumerate(records):
        calls.append(Call("", "delete_record", {"id": record}, '{"ok":true}', same_round=number % 5 != 0))
    goal = f"Delete what is past its retention date in {bucket}."
    return Script(goal, tuple(calls), f"{len(records)} records of {bucket} are deleted.")


def _dead_end(rng: random.Random) -> Call:
    arguments = {"id": f"rec_{rng.getrandbits(40):010x}"}
    return Call("It is still listed; deleting it.", "delete_record", arguments, '{"ok":false,"reason":"legal hold"}')


def _record(rng: random.Random, _tool: str) -> object:
    moved = rng.choice(("uploaded", "shared", "copied to cold storage", "marked as due"))
    return {"at": f"202{rng.randint(1, 5)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}", "event": moved}


_MATERIAL = Material(
    subjects=("recordings", "uploads", "exports", "backups"),
    rules=(
        "For {subject}: delete only what the list of expired records names, one by one.",
        "For {subject}: a legal hold is the end of it; do not try again.",
        "For {subject}: never list everything to find more; what is not listed is not due.",
        "For {subject}: the report has the number of records and the names of those that were refused.",
        "For {subject}: stop after 200 records; the next night goes on.",
    ),
    heading="Below is the retention schedule that holds today, from the register, in order, as it is:",
    thread=(
        "Entry {n}: kept for {n} days after the last access, then deleted without notice.",
        "Entry {n}: kept until the contract ends, and {n} days beyond.",
    ),
    key="audit",
    record=_record,
)

ROLE = Role(
    name="retention",
    system="You delete records that are past their retention date, and only those.",
    tools=(
        Tool("list_expired", "List records past their date.", {"bucket": "str"}, 0.6),
        Tool("list_all", "List all records.", {"bucket": "str"}, 2.0),
        Tool("delete_record", "Delete one record for good.", {"id": "str"}, 0.08),
    ),
    plan=_plan,
    dead_end=_dead_end,
    main_tool="list_expired",
    failure=Failure("botocore.exceptions.ClientError", "An error occurred (SlowDown): reduce your request rate"),
    confusion=Confusion(
        tool="list_expired", wrong_tool="list_all", right="bucket", wrong="bucket", result='["rec_all"]'
    ),
    material=_MATERIAL,
)
