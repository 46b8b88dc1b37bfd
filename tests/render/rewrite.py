"""Write the expected texts anew: `python tests/render/rewrite.py`; the diff is the review."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.incidents import NOW, cost_incident, full_report, loop_incident, report  # noqa: E402 - after the path is set

from analyzer.render.markdown import markdown  # noqa: E402
from analyzer.render.message import headline, message_outline  # noqa: E402
from analyzer.render.outline import incident_outline  # noqa: E402
from analyzer.render.report import report_outline  # noqa: E402
from analyzer.render.slack import fallback_text, slack_blocks  # noqa: E402
from analyzer.render.terminal import terminal  # noqa: E402
from analyzer.types.report import Severity, State  # noqa: E402
from analyzer.types.sent import Reason, Sent  # noqa: E402

BEFORE = Sent(Reason.FIRST_SEEN, NOW - timedelta(hours=20), State.OPEN, Severity.LOW, 13.0)
EXPECTED = Path(__file__).parent / "expected"


def _slack() -> str:
    blocks = slack_blocks(message_outline(cost_incident(), Reason.FIRST_SEEN, NOW))
    message = {"text": fallback_text(headline(cost_incident(), Reason.FIRST_SEEN)), "blocks": blocks}
    return json.dumps(message, indent=1, ensure_ascii=False) + "\n"


TEXTS: dict[str, Callable[[], str]] = {
    "report.md": lambda: markdown(report_outline(full_report())),
    "report.txt": lambda: terminal(report_outline(full_report()), 100),
    "quiet.md": lambda: markdown(report_outline(report())),
    "loop.md": lambda: markdown(incident_outline(loop_incident(), NOW)),
    "message.txt": lambda: terminal(message_outline(loop_incident(), Reason.GOT_WORSE, NOW, BEFORE), 100),
    "resolved.txt": lambda: terminal(message_outline(loop_incident(), Reason.RESOLVED, NOW), 100),
    "message.json": _slack,
}
"""Every expected text by its file name, and how it is made."""


def rewrite() -> None:
    """Write all expected texts."""
    EXPECTED.mkdir(exist_ok=True)
    for name, text in TEXTS.items():
        (EXPECTED / name).write_text(text(), "utf-8")


if __name__ == "__main__":
    rewrite()
