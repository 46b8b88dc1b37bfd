"""What a drill works with: stores in a scratch folder, and Apps over them from which nothing goes out."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from analyzer.agent.scripted import ScriptedModel
from analyzer.config import Settings
from analyzer.notify.alertmanager import Alertmanager
from analyzer.notify.captured import Captured
from analyzer.notify.mail import Mail, Mailbox
from analyzer.notify.slack import ForgottenThreads, SlackBot, SlackNotifier
from analyzer.notify.webhook import Webhook
from analyzer.pipeline import App
from analyzer.pipeline.drill import Exits
from analyzer.selfwatch.drill.outcome import Drill, figures
from analyzer.selfwatch.measured import Measured
from analyzer.stores.audit import SqliteAudit
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.policy import EVERY
from analyzer.types.report import Gap, Severity
from analyzer.wiring.building import StandIns, build, build_reader
from analyzer.wiring.metering import without_metrics
from analyzer.wiring.opening import open_store
from analyzer.wiring.routes import Outside

_ALL_AT_ONCE = {EVERY: {"severity": Severity.LOW, "per_day": None, "storm": None, "quiet": None}}
"""What waits for a digest, or for the morning, would not be seen; each message by itself is the most that comes out."""
_NOWHERE = "https://captured.invalid/"
_BOX = Mailbox("smtps://captured.invalid", "analyzer@captured.invalid", ("people@captured.invalid",))


def keep_figures(settings: Settings, drill: Drill) -> tuple[Gap, ...]:
    """Let the analyst's own metrics say how a drill came out; return a Gap for each place that took no figures."""
    with open_store(settings) as store:
        measured = Measured(
            store.connection, settings.pushgateway_url, settings.metrics_textfile, settings.metrics_instance
        )
        return measured.drilled(figures(drill, measured.clock()))


@dataclass(frozen=True, slots=True)
class Workshop:
    """See `pipeline.drill.Workshop`."""

    settings: Settings
    folder: Path

    @property
    def _reports(self) -> Path:
        return self.folder / "reports"

    def _shadow(self, path: Path) -> Settings:
        """Return the settings of this installation over a shadow: detectors, masking and prices as they are."""
        return replace(
            without_metrics(self.settings),
            store=path,
            state=None,
            # The shadow has its texts; what is followed would come into it beside its own copy.
            clickhouse_url=None,
            reports=self._reports,
            llm="off",
            pushgateway_url=None,
            metrics_textfile=None,
            alertmanager_url=None,
            otlp_endpoint=None,
            argus_url=None,
            notify=_ALL_AT_ONCE,
        )

    @contextmanager
    def writer(self, path: Path) -> Iterator[SqliteTrajectories]:
        """Give a store to fill; it is a single file again when it is closed."""
        with open_store(self._shadow(path)) as store:
            yield store

    @contextmanager
    def reader(self, path: Path) -> Iterator[App]:
        """Give an App that looks back over a shadow."""
        with build_reader(self._shadow(path)) as app:
            yield app

    @contextmanager
    def captured(self, path: Path) -> Iterator[tuple[App, Exits]]:
        """Give an App for a whole run, and what comes out of it by any exit."""
        said, printed = defaultdict[str, Captured](Captured), io.StringIO()
        # It has no answer, so that rules explain; what it was asked is one of the exits.
        model = ScriptedModel(())
        settings = self._shadow(path)
        places = (
            Outside("slack", SlackNotifier(_NOWHERE, client=said["Slack"]), ""),
            Outside("slack-bot", _bot(said["Slack bot"]), ""),
            Outside("webhook", Webhook(_NOWHERE, None, post=said["webhook"].post), ""),
            Outside("mail", Mail(_BOX, post=said["mail"].mail), ""),
        )
        alerts = Alertmanager(_NOWHERE, expiry=settings.alertmanager_expiry, asked=said["Alertmanager"].ask)
        with build(settings, out=printed, stand_ins=StandIns(model, places, alerts)) as app:

            def texts() -> Iterator[tuple[str, str | bytes]]:
                for name, captured in said.items():
                    yield from ((name, text) for text in captured.texts)
                yield "standard output", printed.getvalue()
                yield from (("the model's requests", repr(request)) for request in model.requests)
                yield "the run's own trace", repr(app.trajectories.trajectory(app.run_trace_id))
                with open_store(settings) as store:
                    log = SqliteAudit(store.state, store.masker)
                    yield from (("the audit log", entry.text) for entry in log.entries())
                for found in sorted(self.folder.rglob("*")):
                    if found.is_file():
                        is_report = found.is_relative_to(self._reports)
                        yield "the report files" if is_report else "the store's file", found.read_bytes()

            yield app, Exits(texts, lambda: {name: captured.messages for name, captured in said.items()})


def _bot(captured: Captured) -> SlackBot:
    return SlackBot("xoxb-captured", "C0", ForgottenThreads(), api_url=_NOWHERE, client=captured)
