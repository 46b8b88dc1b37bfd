"""Golden cases under pytest: `@pytest.mark.golden("cases/")` runs a test once a case.

The fixture `golden_provider` stands in for the model's provider while the test runs the agent.

pytest loads this module wherever the package is installed, so that it imports nothing but pytest until a test asks.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from analyzer.config import Settings
    from analyzer.masking import Masker
    from analyzer.replay.golden.case import Case
    from analyzer.replay.golden.observed import Observed
    from analyzer.replay.golden.running import Trial
    from analyzer.replay.standin import StandIn

MARK = "golden"
FIXTURE = "golden"
PROVIDER = "golden_provider"


class Golden:
    """One case, for the test that runs the agent on it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.is_judged = False

    @property
    def goal(self) -> str:
        """What the failed run was asked for, masked: secrets in it are pseudonyms."""
        return self.case.bad.goal

    def judge(self, run: str | Path | list[Any] | dict[str, Any]) -> None:
        """Hold one run against the case; fail the test unless it is green, with the diverging step as a diff.

        `run` is a file as `analyzer ingest` reads them (OTLP, ATIF, a log), or the same as JSON values: the messages
        of a conversation, say. Raises UsageError where it holds no run, or several.
        """
        from analyzer.replay.golden.running import tried

        __tracebackhide__ = True
        self.is_judged = True
        _fail_unless_green(tried(self.case, _observed(run)))


class GoldenProvider:
    """The stand-in for the model's provider, for the agent that a test runs on a case.

    While the test runs, ANTHROPIC_BASE_URL, OPENAI_BASE_URL and ANALYZER_REPLAY_URL point here.
    """

    def __init__(self, case: Case, standin: StandIn, url: str) -> None:
        self.case = case
        self.url = url
        self.anthropic_base_url = url
        self.openai_base_url = f"{url}/v1"
        self._standin = standin

    def run_tool(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """Return what a tool gave in the failed run. Raises UnrecordedError; RecordedFailureError where it failed."""
        from analyzer.replay.client import recorded_tools

        return recorded_tools(url=self.url)(tool, arguments)

    def trial(self, *, broke: bool) -> Trial:
        """Judge what the agent did since; `broke` says that it raised."""
        from analyzer.replay.golden.rerunning import tried_again

        return tried_again(self.case, self._standin, int(broke))


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", f"{MARK}(folder): run the test once for each golden case in the folder, relative to the root folder"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a marked test a case a run. Raises UsageError for a folder without cases, and for a case without proof.

    A mark without a folder is another project's of the same name, and none of ours.
    """
    mark = metafunc.definition.get_closest_marker(MARK)
    if mark is None or len(mark.args) != 1 or not isinstance(mark.args[0], str | Path):
        return
    from analyzer.errors import UsageError
    from analyzer.replay.golden.accepting import check_case
    from analyzer.replay.golden.case import read_cases

    try:
        cases = read_cases(metafunc.config.rootpath / mark.args[0])
        for case in cases:
            check_case(case)
    except UsageError as error:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: {error}") from None
    metafunc.parametrize(FIXTURE, cases, ids=[case.name for case in cases], indirect=True)


@pytest.fixture(name=FIXTURE)
def golden_case(request: pytest.FixtureRequest) -> Golden:
    """Give the case that this run of a test marked with `golden` is about."""
    if not hasattr(request, "param"):
        pytest.fail(f'the fixture {FIXTURE} is of tests marked with @pytest.mark.{MARK}("cases/")', pytrace=False)
    return Golden(request.param)


@pytest.fixture(name=PROVIDER)
def standing_in_for_provider(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoldenProvider]:
    """Stand in for the provider from the recording in the case; the test fails unless the agent is green at its end."""
    from analyzer.config import REPLAY_URL, load
    from analyzer.replay.golden.rerunning import not_replayable, standin_of
    from analyzer.server.standin import standing_in

    standin = standin_of(golden.case, _masker(load().settings).text)
    if standin is None:
        _fail_unless_green(not_replayable(golden.case))
        return
    golden.is_judged = True
    with standing_in(standin) as url:
        provider = GoldenProvider(golden.case, standin, url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.anthropic_base_url)
        monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_base_url)
        monkeypatch.setenv(REPLAY_URL, url)
        for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
            # An SDK wants a key before it asks; this one is worth nothing anywhere.
            monkeypatch.setenv(name, "replay")
        yield provider


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Judge what ran against the stand-in, and fail a marked test that came to its end and judged nothing.

    Such a test would be green whatever the agent does.
    """
    __tracebackhide__ = True
    provider = pyfuncitem.funcargs.get(PROVIDER)
    try:
        outcome = yield
    except Exception:
        if isinstance(provider, GoldenProvider):
            trial = provider.trial(broke=True)
            _fail_if_red(trial)
            if trial.replayed is not None and trial.replayed.diff:
                # What the agent raised is most likely that it was stopped there.
                _fail_unless_green(trial)
        raise
    if isinstance(provider, GoldenProvider):
        _fail_unless_green(provider.trial(broke=False))
    golden = pyfuncitem.funcargs.get(FIXTURE)
    if isinstance(golden, Golden) and not golden.is_judged:
        pytest.fail(f"golden case {golden.case.name} was not judged: call golden.judge(run)", pytrace=False)
    return outcome


def _fail_if_red(trial: Trial) -> None:
    from analyzer.replay.golden.diverging import divergence
    from analyzer.replay.golden.running import Verdict

    __tracebackhide__ = True
    if trial.verdict is Verdict.RED:
        pytest.fail("\n".join([f"golden case {trial.case.name} is red", *divergence(trial)]), pytrace=False)


def _fail_unless_green(trial: Trial) -> None:
    from analyzer.replay.golden.diverging import asked_otherwise
    from analyzer.replay.golden.running import Verdict

    __tracebackhide__ = True
    _fail_if_red(trial)
    if trial.verdict is not Verdict.GREEN:
        # Never a pass by default: what cannot be judged is told, too.
        differs = [] if trial.replayed is None else asked_otherwise(trial.replayed)
        said = f"golden case {trial.case.name}: {trial.verdict.value}: {trial.why}"
        pytest.fail("\n".join([said, *differs]), pytrace=False)


def _observed(run: str | Path | list[Any] | dict[str, Any]) -> Observed:
    """Read one run, masked as a store does: the case knows secrets by their pseudonyms alone. Raises UsageError."""
    import io
    import json

    from analyzer.config import load
    from analyzer.errors import UsageError
    from analyzer.ingest.files import read_paths, read_stream
    from analyzer.ingest.pricing import Pricer
    from analyzer.ingest.reads import Parsed
    from analyzer.replay.golden.observed import observed
    from analyzer.types.trajectory import Trajectory, ordered, summarise

    is_path = isinstance(run, str | Path)
    settings = load().settings
    pricer = Pricer(settings.prices, settings.tool_costs)
    if is_path:
        reads = read_paths([str(run)], pricer=pricer)
    else:
        reads = read_stream(io.BytesIO(json.dumps(run).encode()), "-", pricer=pricer)
    spans = [span for read in reads if isinstance(read, Parsed) for span in read.spans]
    ids = {span.trace_id for span in spans}
    if len(ids) != 1:
        where = str(run) if is_path else "what was given"
        raise UsageError(f"{where} holds {len(ids) or 'no'} run{'s' if len(ids) > 1 else ''}: judge one at a time")
    masker = _masker(settings)
    in_order = ordered(masker.span(span) for span in spans)
    return observed(Trajectory(summarise(ids.pop(), in_order), in_order))


def _masker(settings: Settings) -> Masker:
    """Return what masks as the store does: by its patterns, and with its key where there is a store.

    Without one pseudonyms differ from the case's, and are compared by their kind.
    """
    import os

    from analyzer.errors import StoreError
    from analyzer.masking import Masker
    from analyzer.wiring.opening import open_reader

    if settings.store.exists():
        try:
            with open_reader(settings) as store:
                return store.masker
        except StoreError:
            # A build need not have the store: what is masked is the same without its key.
            pass
    return Masker(os.urandom(32), patterns=tuple(settings.mask_patterns.items()), allow=settings.mask_allow)
