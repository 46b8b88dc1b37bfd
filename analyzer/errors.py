"""Every error the analyst raises on purpose.

    AnalyzerError
     ├── UsageError            the command line or a setting is wrong           exit 2
     ├── NotFoundError         an id, a prefix or an agent that the store lacks  exit 2
     ├── InputError            a file or payload that cannot be read as traces   exit 4
     ├── StoreError            the trajectory or state store failed              exit 4
     │    ├── StoreBusyError   ... because another process holds it: try again
     │    │    └── TurnTakenError   another run is under way, so that this one did nothing  exit 3
     │    └── SourceError      the database that others write did not answer; the store itself is whole
     ├── MetricsError          Prometheus did not answer, or refused the query
     │    └── MetricsQueryError   ... because the query is wrong: the text may help its author
     │         └── MetricsPartError    ... no: it answered, but only in part
     ├── ModelError            the LLM could not answer; `ending` says how
     ├── DeliveryError         a message did not go out; `retryable` says whether trying again could help
     │    ├── RateLimitedError    ... because the other side asked to wait
     │    └── RefusedError        ... because the other side answered with another status that means no
     ├── DrawingError          a chart could not be drawn; its words are there all the same
     └── PromptError           a prompt file is missing or names an unknown variable
    KeyboardInterrupt
     └── StoppedError          the process was told to end (SIGTERM)

An error is one line that names the thing and says what to do next. `exit_code` is what the command line returns
when nothing above it handled the error.
"""


class AnalyzerError(Exception):
    """Base of all errors that carry a message for the user."""

    exit_code = 4


class UsageError(AnalyzerError):
    """A flag, a setting or a configuration file is wrong."""

    exit_code = 2


class NotFoundError(AnalyzerError):
    """An id or a prefix of one names nothing, or more than one thing."""

    exit_code = 2


class InputError(AnalyzerError):
    """Bytes from outside that are not the traces they were said to be."""


class StoreError(AnalyzerError):
    """The store could not do what was asked."""


class StoreBusyError(StoreError):
    """Another process holds the store; the same call may succeed later."""


class TurnTakenError(StoreBusyError):
    """Another run over the same store is under way. This one saw nothing: that is a gap, and no failure."""

    exit_code = 3


class SourceError(StoreError):
    """A database that others write and that is only read here did not answer, or stopped at a limit."""


class SourceRefusedError(SourceError):
    """It answered, and said no."""

    def __init__(self, text: str, number: int, *, is_too_much: bool) -> None:
        """Take what to say, the number of ClickHouse's error, and whether less at once may go."""
        super().__init__(text)
        self.number, self.is_too_much = number, is_too_much


class MetricsError(AnalyzerError):
    """Prometheus could not be reached or answered with an error."""


class MetricsQueryError(MetricsError):
    """Prometheus refused the query itself; its text says why."""

    hint = "mend it under [queries] in analyzer.toml"


class MetricsPartError(MetricsQueryError):
    """The server answered in part: what it did not reach is missing, and would look like a fall."""

    hint = "check the servers behind it; what it did not reach would look like a fall, so nothing of this answer counts"


class ModelError(AnalyzerError):
    """The model gave no usable reply."""

    def __init__(self, message: str, *, ending: str = "unavailable", lost_tries: int = 1) -> None:
        super().__init__(message)
        self.ending = ending
        """One of the endings of an investigation, see `types.report.Ending`."""
        self.lost_tries = lost_tries
        """Tries that may be billed although no reply came of them; whoever does not know says one."""


class DeliveryError(AnalyzerError):
    """A message was not delivered."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class RateLimitedError(DeliveryError):
    """The other side asked to wait; `retry_after_s` seconds where it said how long."""

    def __init__(self, message: str, *, retry_after_s: float | None) -> None:
        super().__init__(message, retryable=True)
        self.retry_after_s = retry_after_s


class RefusedError(DeliveryError):
    """The other side refused; `status` is that of HTTP."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message, retryable=False)
        self.status = status


class DrawingError(AnalyzerError):
    """A chart could not be drawn."""


class PromptError(AnalyzerError):
    """A prompt file is missing, or its variables do not match what it was given."""


class StoppedError(KeyboardInterrupt):
    """The process was told to end. Unlike Ctrl-C at a prompt, which drops a line, this is never taken back."""
