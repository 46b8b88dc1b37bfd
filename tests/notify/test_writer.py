from __future__ import annotations

import io

import pytest
from support.incidents import NOW, loop_incident

from analyzer.errors import DeliveryError
from analyzer.notify.base import Message
from analyzer.notify.writer import WriterNotifier
from analyzer.render.message import message_outline
from analyzer.render.terminal import terminal
from analyzer.types.sent import Reason

MESSAGE = Message(Reason.GOT_WORSE, loop_incident(), NOW)


def test_message_is_written_and_flushed() -> None:
    """The stream gets the message as plain text and an empty line."""
    stream = io.StringIO()
    WriterNotifier(stream, columns=80).send(MESSAGE)
    assert stream.getvalue() == terminal(message_outline(loop_incident(), Reason.GOT_WORSE, NOW), 80) + "\n"


def test_poor_encoding_costs_signs_not_the_message() -> None:
    """Where the stream knows ASCII alone, other characters become question marks."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    WriterNotifier(stream).send(MESSAGE)
    assert b"MEDIUM ? ongoing ? cause likely" in raw.getvalue()


def test_closed_stream_is_a_delivery_error() -> None:
    """A reader that went away is an error of delivery, not of the run."""
    stream = io.StringIO()
    stream.close()
    with pytest.raises(DeliveryError, match="the output stream is closed") as caught:
        WriterNotifier(stream).send(MESSAGE)
    assert not caught.value.retryable
