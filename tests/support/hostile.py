"""Text that wants to be more than text, for every renderer: what an attacker could put into a span."""

from __future__ import annotations

from dataclasses import replace

from support.incidents import cost_incident, curve, finding, report, strip

from analyzer.types.diagnosis import Claim, Responsible
from analyzer.types.drawn import Strip
from analyzer.types.report import Change, Factor, Gap, Incident, Report, SpanEvidence, Subject

ATTACKS = (
    "[click](https://evil.example/x)",
    "![pixel](https://evil.example/p.png)",
    "<https://evil.example>",
    "https://evil.example/a?b=c",
    "www.evil.example",
    "mail evil@evil.example now",
    "@octocat @here #123 GH-1",
    "<!channel> <@U012345> <#C012345> <!here|here>",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- comment -->",
    "\n# A heading\n\nA heading\n=========\n",
    "\n---\n",
    "```\n# out of the fence\n[x](https://evil.example)\n```",
    "````` [x](https://evil.example) `````",
    "` <b>bold</b> `",
    "``",
    "`",
    "a | b | [x](https://evil.example)\n--- | ---\n",
    "\\[x\\](https://evil.example)",
    "[x]: https://evil.example\n\n[x]",
    "[^1]: note [^1]",
    "&lt;b&gt; &#60;b&#62; &copy;",
    "**bold** _em_ ~~gone~~ *em*",
    "1. one\n2. two",
    "- one\n- two",
    "    code by indentation",
    "> quoted",
    "$\\href{https://evil.example}{x}$",
    "javascript:alert(1) data:text/html,x",
    "\x1b[2J\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\u202eevil\u202c \u200b",
    "xmpp:a@b.example ftp://evil.example",
    "*<https://evil.example|text>*",
)


def hostile_incident(text: str) -> Incident:
    """Return an incident with a text in every field that can hold one from outside."""
    one = cost_incident()
    diagnosis = one.diagnosis
    assert diagnosis is not None
    return replace(
        one,
        title=text,
        owner=text,
        subject=Subject(text, text, text, text),
        findings=(
            finding(agent=text, tool=text, note=text, evidence=one.evidence[:2]),
            finding(agent=text, detector=text, evidence=()),
        ),
        unit=text,
        account=(Factor(text, 1.0, 2.0, 1.2), Factor(text, 2.0, 1.0, -0.2)),
        changes=(Change(text, text, text, one.onset),),
        curve=curve(agent=text, tool=text, unit=text),
        strip=Strip(text, 3, (*(replace(step, name=text) for step in strip().steps[:2]), *strip().steps)),
        trace_ids=(text,),
        healthy_trace_ids=(text, text),
        evidence=(*one.evidence, SpanEvidence("E9", text, text, text, text), replace(one.evidence[0], promql=text)),
        diagnosis=replace(
            diagnosis,
            by=text,
            summary=text,
            cause=text + "!",
            claims=(Claim(text, ("E9", text)), Claim(text, ())),
            responsible=Responsible(text, text, text, 1),
            actions=(text, text),
            check=text,
            note=text,
            refutation=text,
        ),
    )


def hostile_report(text: str) -> Report:
    """Return a report of hostile incidents, gaps and notes."""
    one = hostile_incident(text)
    return report(one, one, gaps=(Gap(text, text, text),), notes={text: text})
