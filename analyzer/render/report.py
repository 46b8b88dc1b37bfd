"""A whole report as blocks: its incidents worst first, what could not be seen, and the run itself."""

from __future__ import annotations

from collections.abc import Iterable

from analyzer.render import incidents as tables
from analyzer.render.blocks import Block, Bullets, Divider, Heading, Line, Paragraph, code, line, plain, strong
from analyzer.render.links import NO_LINKS, Links
from analyzer.render.numbers import count, duration, moment, money, span_of, tokens
from analyzer.render.outline import NAME_COLUMNS_MAX, incident_outline
from analyzer.render.text import cut, one_line
from analyzer.types.report import Report, Run, State


def report_outline(report: Report, links: Links = NO_LINKS) -> tuple[Block, ...]:
    """Return a whole report: summary, incidents worst first, what could not be seen, and the run itself."""
    at = report.run.at
    blocks: list[Block] = [
        Heading(1, plain(f"Agent fleet report, {moment(at)}")),
        Paragraph(plain(_headline(report))),
    ]
    if len(report.incidents) > 1:
        blocks += links.within([tables.incident_table(report.incidents, at)], *report.incidents)
    for incident in report.incidents:
        # By itself: the numbers of evidence begin anew in each.
        blocks += [Divider(), *links.within(incident_outline(incident, at, level=2), incident)]
    if report.incidents:
        blocks.append(Divider())
    blocks += _gaps(report)
    blocks += _notes(report)
    blocks += [Heading(2, plain("This run")), Bullets(tuple(_run_lines(report.run)))]
    return tuple(blocks)


def _headline(report: Report) -> str:
    active = [entry for entry in report.incidents if entry.state not in {State.RESOLVED, State.DISMISSED}]
    resolved = sum(1 for entry in report.incidents if entry.state is State.RESOLVED)
    seen = count(report.run.trajectories_seen, "trajectory", "trajectories")
    parts = [count(len(active), "incident") if active else "No incidents", f"{seen} seen"]
    if resolved:
        parts.insert(1, f"{resolved} resolved")
    if report.gaps:
        parts.append(f"{count(len(report.gaps), 'thing')} could not be seen")
    return ", ".join(parts) + "."


def _gaps(report: Report) -> Iterable[Block]:
    yield Heading(2, plain("What could not be seen"))
    if not report.gaps:
        yield Paragraph(plain("Nothing: every source answered."))
        return
    yield Bullets(
        tuple(
            line(strong(one_line(gap.what)), f": {one_line(gap.why).rstrip('.')}; {one_line(gap.hint)}")
            for gap in report.gaps
        )
    )


def _notes(report: Report) -> Iterable[Block]:
    if report.notes:
        yield Heading(2, plain("Good to know"))
        yield Bullets(tuple(line(strong(one_line(name)), f": {one_line(text)}") for name, text in report.notes.items()))


def _run_lines(run: Run) -> Iterable[Line]:
    yield plain(f"looked at: {moment(run.start)} to {moment(run.end)} ({span_of(run.end - run.start)})")
    seen = count(run.trajectories_seen, "trajectory", "trajectories")
    yield plain(f"seen: {seen}, {count(run.spans_seen, 'span')}, in {duration(run.duration_s)}")
    use = run.llm
    if use.calls:
        used = f"{tokens(use.input_tokens)} tokens in, {tokens(use.output_tokens)} out"
        spent = f"{money(use.cost_usd)} of {money(use.budget_usd)}"
        yield plain(f"model: {count(use.calls, 'call')}, {used}, {spent}")
    else:
        yield plain("model: not called")
    if use.left is not None:
        yield plain(f"left for the model today: {money(use.left.usd)} and {tokens(use.left.tokens)} tokens")
    if run.audit is not None:
        yield line(f"audit log: {run.audit.entries} entries, head ", code(run.audit.hash or "-"))
    yield line("own trajectory: ", code(cut(one_line(run.trace_id), NAME_COLUMNS_MAX)))
