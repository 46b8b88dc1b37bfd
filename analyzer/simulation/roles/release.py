"""A release agent: starts a job and polls it. Looks like a loop and is none: the status changes."""

from __future__ import annotations

import random

from analyzer.simulation.script import Call, Confusion, Failure, Material, Role, Script, Tool, dumps

_TARGETS = ("staging", "canary", "eu-west", "us-east")


def _plan(rng: random.Random, calls_n: int) -> Script:
    job, build, target = f"job-{rng.getrandbits(24):06x}", rng.randrange(1_000, 9_999), rng.choice(_TARGETS)
    arguments = {"build": build, "target": target}
    calls = [Call("Starting the roll-out.", "start_job", arguments, dumps({"job": job, "state": "queued"}))]
    polls = max(2, calls_n)
    for number in range(polls):
        last = number == polls - 1
        state = {"job": job, "state": "done" if last else "running", "percent": 100 * (number + 1) // polls}
        calls.append(Call("", "get_job_status", {"job": job}, dumps(state), wait_s=20 + 10 * rng.random()))
    goal = f"Roll build {build} out to {target} and report when it is done."
    return Script(goal, tuple(calls), f"Build {build} is on {target}; the job {job} ended well.")


def _dead_end(rng: random.Random) -> Call:
    job = f"job-{rng.getrandbits(24):06x}"
    result = dumps({"job": job, "state": "failed", "reason": "image pull failed"})
    return Call("Is it done?", "get_job_status", {"job": job}, result)


def _record(rng: random.Random, _tool: str) -> object:
    pod, step = f"web-{rng.getrandbits(20):05x}", rng.choice(("pulled image", "started", "passed readiness", "drained"))
    return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d} {pod} {step} on node-{rng.randint(1, 40)}"


_MATERIAL = Material(
    subjects=("staging", "canary", "production regions", "hot fixes", "database steps"),
    rules=(
        "For {subject}: start one job at a time and wait until it has ended.",
        "For {subject}: poll no more often than every 20 seconds; the job does not get faster.",
        "For {subject}: a job that does not move for 15 minutes is reported, not restarted.",
        "For {subject}: never roll out between Friday 16:00 UTC and Monday 06:00 UTC without a ticket.",
        "For {subject}: the report names build, target, start, end and the job's id.",
        "For {subject}: a dry run is no roll-out; do not report it as one.",
    ),
    heading="Below is the list of changes in this build, from the pipeline, the newest first, as it is:",
    thread=(
        "#{n}: smaller images for the workers; no change of behaviour.",
        "#{n}: time-outs of the gateway are read from the configuration.",
        "#{n}: the health check waits for the cache; was a flaky start.",
    ),
    key="log",
    record=_record,
)

ROLE = Role(
    name="release",
    system="You roll builds out. Start the job, watch it until it ends, report.",
    tools=(
        Tool("start_job", "Start a roll-out.", {"build": "int", "target": "str"}, 0.5),
        Tool("start_dry_run", "Start a roll-out that changes nothing.", {"build": "int", "target": "str"}, 0.5),
        Tool("get_job_status", "Read the state of a job.", {"job": "str"}, 0.1),
    ),
    plan=_plan,
    dead_end=_dead_end,
    main_tool="start_job",
    failure=Failure("PermissionError", "403 forbidden: service account may not create rollouts in this cluster"),
    confusion=Confusion(
        tool="start_job", wrong_tool="start_dry_run", right="build", wrong="build", result='{"job":"dry","state":"ok"}'
    ),
    material=_MATERIAL,
)
