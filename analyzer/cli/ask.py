"""`analyzer ask`: a question about one trajectory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import columns, json_option, print_json, settings_from, store_option

if TYPE_CHECKING:
    from analyzer.pipeline import App
    from analyzer.types.explained import Answer


@click.command("ask")
@click.argument("trace")
@click.argument("question")
@click.option("--llm", type=click.Choice(["auto", "off"]), help="off: answer from what can be computed.")
@click.option("--model", metavar="ID", help="The model that answers.")
@click.option("--prometheus-url", metavar="URL", help="Lets the model look at the metrics as well.")
@store_option
@json_option
def command(
    trace: str,
    question: str,
    llm: str | None,
    model: str | None,
    prometheus_url: str | None,
    store: str | None,
    as_json: bool,
) -> int:
    """Ask about one trajectory.

    TRACE is an id or a beginning of one, `latest`, `worst`, or an incident's id (then its worst trajectory). Whatever
    the model says is checked against the spans; without a model the answer is what can be computed.
    """
    from analyzer.pipeline import ask
    from analyzer.wiring.building import build
    from analyzer.wiring.opening import require_store

    if not question.strip():
        raise click.UsageError("QUESTION is empty: say what to ask")
    settings = settings_from(llm=llm, model=model, prometheus_url=prometheus_url, store=store).settings
    require_store(settings)
    with build(settings, out=None) as app:
        trace_id = _resolved(app, trace)
        answer = ask(app, trace_id, question)
        own_trace_id = app.run_trace_id
    if as_json:
        print_json(_document(answer, trace_id, question, own_trace_id))
    else:
        _print(answer, trace_id)
    return 0


def _resolved(app: App, trace: str) -> str:
    """Return the trace id that is meant. Raises NotFoundError."""
    from analyzer.errors import NotFoundError

    if trace.startswith("inc-"):
        incident = app.incidents.incident(trace)
        if not incident.trace_ids:
            raise NotFoundError(f"{incident.id} names no trajectory; `analyzer incidents show {incident.id}` shows it")
        return incident.trace_ids[0]
    return app.trajectories.resolve(trace)


def _document(answer: Answer, trace_id: str, question: str, own_trace_id: str) -> dict[str, Any]:
    from dataclasses import asdict

    from analyzer.types.document import evidence_document

    return {
        "schema": "analyzer.answer/1",
        "trace_id": trace_id,
        "question": question,
        "answer": answer.text,
        "claims": [{"text": claim.text, "evidence": list(claim.evidence)} for claim in answer.claims],
        "evidence": [evidence_document(entry) for entry in answer.evidence],
        "responsible": None if answer.responsible is None else asdict(answer.responsible),
        "verdict": answer.verdict.value,
        "by": answer.by,
        "ending": answer.ending.value,
        "struck_out": answer.struck_out,
        "note": answer.note,
        "run": {
            "trace_id": own_trace_id,
            "llm": {
                "calls": answer.use.calls,
                "input_tokens": answer.use.input_tokens,
                "output_tokens": answer.use.output_tokens,
                "cost_usd": answer.use.cost_usd,
            },
        },
    }


def _print(answer: Answer, trace_id: str) -> None:
    from analyzer.render.answer import answer_outline
    from analyzer.render.terminal import terminal

    click.echo(terminal(answer_outline(answer, trace_id), columns()), nl=False)
