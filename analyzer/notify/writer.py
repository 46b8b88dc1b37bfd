"""Messages as plain text to an open stream: the standard output of a command, a terminal."""

from __future__ import annotations

from typing import TextIO

from analyzer.errors import DeliveryError
from analyzer.notify.base import Message
from analyzer.render.links import NO_LINKS, Links
from analyzer.render.message import message_outline
from analyzer.render.terminal import WIDTH, terminal


class WriterNotifier:
    """Writes each message to a stream that somebody else opened and closes."""

    def __init__(self, stream: TextIO, *, columns: int = WIDTH, links: Links = NO_LINKS) -> None:
        self._stream = stream
        self._columns = columns
        self._links = links

    def send(self, message: Message) -> None:
        """Write one message and a blank line. Raises DeliveryError where the stream is gone (a closed pipe)."""
        outline = message_outline(message.incident, message.reason, message.at, message.last, self._links)
        text = terminal(outline, self._columns)
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except UnicodeEncodeError:
            self._plain(text)
        except (OSError, ValueError) as error:
            raise DeliveryError(f"the output stream is closed ({type(error).__name__})", retryable=False) from error

    def _plain(self, text: str) -> None:
        """Write with question marks for what the stream's encoding lacks: a C locale must not cost the message."""
        encoding = self._stream.encoding or "ascii"
        try:
            self._stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise DeliveryError(f"the output stream is closed ({type(error).__name__})", retryable=False) from error
