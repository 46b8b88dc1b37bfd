"""One request that is larger than memory should hold is read in pieces, and gives what it gives when read whole."""

import base64
import io
import json

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from analyzer.ingest import containers, documents, large_json, large_proto, messages
from analyzer.ingest.files import Parsed, Refused, read_stream


class Dribble(io.RawIOBase):
    """A file that gives a few bytes at a time, so that every token is cut somewhere."""

    def __init__(self, data, size):
        super().__init__()
        self.data, self.size, self.at = data, size, 0

    def readable(self):
        """Say that this can be read."""
        return True

    def readinto(self, buffer):
        """Give the next bytes."""
        piece = self.data[self.at : self.at + min(self.size, len(buffer))]
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def _shrink(patch):
    for module in (large_proto, messages, documents, containers):
        patch.setattr(module, "WHOLE_BYTES_MAX", 300)
    # What is looked at to tell lines from documents is read at once, whatever stands in it.
    patch.setattr(containers, "_HEAD_BYTES", 100)
    for module in (large_json, large_proto):
        patch.setattr(module, "PIECE_BYTES", 400)


@pytest.fixture
def small(monkeypatch):
    """Make requests large from 300 bytes on, and pieces of 400."""
    _shrink(monkeypatch)


def _request(groups=3, scopes=2, spans=5, text='a "quoted" }] \\ text'):
    number = iter(range(1, 10_000))
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": f"service-{i}"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": f"scope-{i}-{j}"},
                        "spans": [
                            {
                                "traceId": f"{i + 1:032x}",
                                "spanId": f"{next(number):016x}",
                                "name": f"step {k}",
                                "startTimeUnixNano": "1795388987000000000",
                                "endTimeUnixNano": "1795388988000000000",
                                "attributes": [{"key": "note", "value": {"stringValue": text}}],
                            }
                            for k in range(spans)
                        ],
                    }
                    for j in range(scopes)
                ],
            }
            for i in range(groups)
        ]
    }


def _proto(request):
    message = json.loads(json.dumps(request))
    for group in message["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId"):
                    # protobuf's own JSON mapping wants base64 where OTLP has hex.
                    span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return ParseDict(message, ExportTraceServiceRequest()).SerializeToString()


def _read(data, form, size=1 << 18):
    reads = list(read_stream(Dribble(data, size), "f", format=form))
    spans = [span for read in reads if isinstance(read, Parsed) for span in read.spans]
    return spans, [read for read in reads if not isinstance(read, Parsed)]


FORMS = ["otlp-json", "otlp-proto"]


def _data(form, request, indent=None):
    return _proto(request) if form == "otlp-proto" else json.dumps(request, indent=indent).encode()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 7, 64, 1 << 18])
@pytest.mark.parametrize("shape", [(3, 2, 5), (1, 1, 40), (30, 1, 1), (1, 12, 2)])
def test_a_large_request_gives_the_spans_of_the_whole(small, form, size, shape, monkeypatch):
    """Whatever is large in it and wherever a read ends, every span comes once, in order, with its resource."""
    data = _data(form, _request(*shape))
    found, remarks = _read(data, form, size)
    monkeypatch.undo()
    assert (found, remarks) == _read(data, form)
    assert len(found) == shape[0] * shape[1] * shape[2]


def test_a_large_document_may_be_indented_and_followed_by_another(small, monkeypatch):
    """Pretty-printed documents one behind the other are read as each alone."""
    data = _data("otlp-json", _request(), indent=2)
    found, remarks = _read(data + b"\n" + data, "otlp-json")
    monkeypatch.undo()
    assert (found, remarks) == (_read(data, "otlp-json")[0] * 2, [])


@pytest.mark.parametrize("size", [1, 64, 1 << 18])
@pytest.mark.parametrize("order", ["slsl", "lsl", "ll", "sls\n"])
def test_long_lines_stand_among_short_ones(small, size, order):
    """A line that is too long to be read whole is read in pieces, wherever it stands, and the next ones as they are."""
    requests = [
        _request(1, 1, 40 if kind == "l" else 1, text=f"of line {n}") for n, kind in enumerate(order.strip(), start=1)
    ]
    data = b"\n".join(_data("otlp-json", request) for request in requests) + order[3:].encode()[1:]
    found, remarks = _read(data, "otlp-json", size)
    assert remarks == []
    assert len(found) == sum(40 if kind == "l" else 1 for kind in order.strip())
    assert list(dict.fromkeys(span.attributes["note"] for span in found)) == [
        f"of line {n}" for n in range(1, len(requests) + 1)
    ]


def test_damage_in_a_long_line_costs_no_other_line(small):
    """What is wrong with a long line is said with its line and byte; the lines behind it are read."""
    long, short = _data("otlp-json", _request(1, 1, 40)), _data("otlp-json", _request(1, 1, 1))
    damaged = long[: len(long) // 2] + b"\x00" + long[len(long) // 2 + 1 :].replace(b'"spanId"', b"spanId", 3)
    found, remarks = _read(b"\n".join((short, damaged, short, b"{", short)), "otlp-json", 64)
    assert [(type(remark), remark.position.split(",")[0]) for remark in remarks][-1] == (Refused, "line 4")
    assert {remark.position.split(",")[0] for remark in remarks} == {"line 2", "line 4"}
    assert len(found) > 10


@pytest.mark.parametrize("form", FORMS)
def test_a_large_request_that_is_cut_off_keeps_what_came_before(small, form):
    """The spans before the cut are kept, and one line says where the file ends."""
    data = _data(form, _request())
    found, remarks = _read(data[: len(data) // 2], form)
    assert 0 < len(found) < 30
    assert [type(remark) for remark in remarks] == [Refused]
    assert remarks[0].position.startswith("byte ")


def test_a_resource_behind_its_spans_is_said(small):
    """What a span belongs to must stand before it where the whole is too large to wait for the end."""
    request = _request(1, 1, 20)
    request["resourceSpans"][0] = dict(reversed(request["resourceSpans"][0].items()))
    found, remarks = _read(json.dumps(request).encode(), "otlp-json")
    assert len(found) == 20
    assert [remark.why for remark in remarks] == ["has its resource behind its spans, which are kept without it"]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damage_in_a_large_request_raises_nothing(data):
    """Bytes overwritten anywhere cost spans and are said; reading ends, and nothing raises."""
    form = data.draw(st.sampled_from(FORMS))
    with pytest.MonkeyPatch.context() as patch:
        _shrink(patch)
        damaged = bytearray(_data(form, _request()))
        for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=4)):
            damaged[place] = data.draw(st.integers(0, 255))
        found, _ = _read(bytes(damaged), form)
    assert len(found) <= 30
