"""The Prometheus adapter over real HTTP, against a loopback server that answers as Prometheus does."""

from __future__ import annotations

import json
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from support.http import Answer, Asked, loopback
from support.prometheus import need_prometheus, prometheus
from support.servers import need
from support.victoriametrics import need_victoriametrics, victoriametrics

from analyzer.errors import MetricsError, MetricsPartError, MetricsQueryError
from analyzer.metrics.base import Exemplar
from analyzer.metrics.prometheus import POINTS_MAX, Access, Prometheus

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def no_wait(_seconds: float) -> None:
    """Do not wait between tries."""


def matrix(asked: Asked) -> Answer:
    """Answer a range query with one series that has a point at every step, counted from the Unix epoch."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
    start, end, step = float(query["start"]), float(query["end"]), float(query["step"])
    count = int((end - start) // step) + 1
    if count > POINTS_MAX:
        error = {"status": "error", "errorType": "bad_data", "error": "exceeded maximum resolution of 11,000 points"}
        return Answer(json.dumps(error).encode(), 400)
    values = [[start + i * step, str((start + i * step) / step)] for i in range(count)]
    result = [{"metric": {"agent": "a"}, "values": values}]
    return Answer(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode())


def test_a_long_range_is_split_below_the_servers_limit_and_joined_without_seams() -> None:
    """A range of more than 11,000 points is asked for in parts; no point is lost or doubled at a seam."""
    with loopback(matrix) as server:
        client = Prometheus(server.url, sleep=no_wait)
        start = NOW - timedelta(seconds=15 * 25_000)
        [points] = client.query_range("x", start, NOW, 15)
    assert len(server.asked) == 3
    assert len(points.values) == 25_001
    assert all(b - a == 15 for a, b in zip(points.times_s, points.times_s[1:], strict=False))


def test_exemplars_are_asked_for_with_what_lets_one_in() -> None:
    """Under any of the labels that tracers use; one without a trace id points nowhere."""
    shown = [
        {"labels": {"trace_id": "a1", "span_id": "b"}, "value": "0.5", "timestamp": 1600096955.479},
        {"labels": {"traceID": "a2"}, "value": "7", "timestamp": 1600096945},
        {"labels": {"user": "u"}, "value": "9", "timestamp": 1600096945},
    ]
    series = {"agent": "billing"}
    body = json.dumps({"status": "success", "data": [{"seriesLabels": series, "exemplars": shown}]}).encode()
    access = Access(token="secret", headers={"X-Scope-OrgID": "team-a"})
    with loopback(lambda _asked: Answer(body)) as server:
        found = Prometheus(server.url, access=access).exemplars("x", NOW - timedelta(hours=1), NOW)
    assert found == [Exemplar(series, "a1", 0.5, 1600096955.479), Exemplar(series, "a2", 7.0, 1600096945.0)]
    [asked] = server.asked
    query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
    assert urlsplit(asked.path).path == "/api/v1/query_exemplars"
    assert query == {"query": "x", "start": f"{NOW.timestamp() - 3600:.3f}", "end": f"{NOW.timestamp():.3f}"}
    assert (asked.headers["Authorization"], asked.headers["X-Scope-OrgID"]) == ("Bearer secret", "team-a")


@pytest.mark.parametrize("answer", [Answer(b"404 page not found", 404), Answer(b'{"status":"success","data":null}')])
def test_a_server_without_exemplars_has_none(answer: Answer) -> None:
    """That is no error, and nothing is tried again."""
    with loopback(lambda _asked: answer) as server:
        assert Prometheus(server.url, sleep=no_wait).exemplars("x", NOW, NOW) == []
    assert len(server.asked) == 1


def test_exemplars_that_are_refused_or_no_exemplars_are_an_error() -> None:
    """With the server's words, as of any query."""
    refused = json.dumps({"status": "error", "errorType": "bad_data", "error": "parse error"}).encode()
    with loopback(lambda _asked: Answer(refused, 400)) as server, pytest.raises(MetricsQueryError, match="parse error"):
        Prometheus(server.url, sleep=no_wait).exemplars("x", NOW, NOW)
    other = Answer(b'{"data": [{"metric": {}}]}')
    with loopback(lambda _asked: other) as server, pytest.raises(MetricsError, match="not Prometheus"):
        Prometheus(server.url, sleep=no_wait).exemplars("x", NOW, NOW)


SERVERS = {
    "prometheus": (need_prometheus, partial(prometheus, features="promql-at-modifier")),
    "victoriametrics": (need_victoriametrics, victoriametrics),
}


@pytest.mark.server
@pytest.mark.parametrize("server", SERVERS)
def test_real_servers_that_keep_no_exemplars_have_none(tmp_path: Path, server: str) -> None:
    """Prometheus as it starts by itself, and VictoriaMetrics."""
    need_it, serve = SERVERS[server]
    need_it()
    history = tmp_path / "history.om"
    at = int(NOW.timestamp())
    history.write_text(f"# TYPE runs counter\nruns_total 1 {at - 60}\nruns_total 2 {at}\n# EOF\n")
    with serve(tmp_path, history) as url:
        source = Prometheus(url)
        assert source.query("runs_total", NOW)
        assert source.exemplars("sum(increase(runs_total[1h]))", NOW - timedelta(hours=1), NOW) == []


def test_a_refused_query_carries_the_servers_words_and_is_not_tried_again() -> None:
    """Bad PromQL raises MetricsQueryError with the text that helps its author."""
    body = json.dumps({"status": "error", "errorType": "bad_data", "error": 'parse error: unexpected "}"'}).encode()
    with loopback(lambda _asked: Answer(body, 400)) as server, pytest.raises(MetricsQueryError, match="parse error"):
        Prometheus(server.url, sleep=no_wait).query("sum(", NOW)
    assert len(server.asked) == 1


def test_a_server_that_comes_back_is_asked_again() -> None:
    """503 is tried again, by the one place that retries."""
    answers = [Answer(b"busy", 503), Answer(b"busy", 503)]

    def answer(asked: Asked) -> Answer:
        return answers.pop() if answers else matrix(asked)

    with loopback(answer) as server:
        [points] = Prometheus(server.url, sleep=no_wait).query_range("x", NOW, NOW, 15)
    assert len(points.values) == 1
    assert len(server.asked) == 3


def test_a_dead_server_is_one_line_that_names_it() -> None:
    """A connection that is refused ends in a MetricsError with the URL and the next step."""
    with pytest.raises(MetricsError, match=r"http://127\.0\.0\.1:9 did not answer .* check ANALYZER_PROMETHEUS_URL"):
        Prometheus("http://127.0.0.1:9", sleep=no_wait).query("up", NOW)


def test_a_hanging_server_is_left_after_the_timeout() -> None:
    """Every call has a timeout."""
    slow = Answer(b"{}", delay_s=5)
    with loopback(lambda _asked: slow) as server, pytest.raises(MetricsError, match="timed out"):
        Prometheus(server.url, timeout_s=0.1, sleep=no_wait).query("up", NOW)


@pytest.mark.parametrize(
    "body", [b"<html>login</html>", b"[]", b'{"data": 1}', b'{"data": {"result": [{"x": 1}]}}', b""]
)
def test_a_server_that_is_not_prometheus_is_named_so(body: bytes) -> None:
    """A web page or any other JSON is no answer."""
    with loopback(lambda _asked: Answer(body)) as server, pytest.raises(MetricsError, match="not Prometheus"):
        Prometheus(server.url, sleep=no_wait).query("up", NOW)


def test_the_token_is_sent_as_bearer_and_its_refusal_names_the_setting() -> None:
    """A 401 says which setting to mend."""
    with loopback(lambda _asked: Answer(b"no", 401)) as server, pytest.raises(MetricsError, match="PROMETHEUS_TOKEN"):
        Prometheus(server.url, access=Access(token="t0k"), sleep=no_wait).query("up", NOW)
    assert server.asked[0].headers["Authorization"] == "Bearer t0k"


def test_scalars_and_points_that_are_no_number() -> None:
    """A scalar is one point; NaN and Inf are left out."""
    answers = [
        {"resultType": "scalar", "result": [1.5, "2"]},
        {"resultType": "vector", "result": [{"metric": {}, "value": [1, "NaN"]}, {"metric": {}, "value": [1, "3"]}]},
    ]

    def answer(_asked: Asked) -> Answer:
        return Answer(json.dumps({"status": "success", "data": answers.pop(0)}).encode())

    with loopback(answer) as server:
        client = Prometheus(server.url, sleep=no_wait)
        assert client.query("scalar(x)", NOW)[0].values == (2.0,)
        assert [points.values for points in client.query("x", NOW)] == [(), (3.0,)]


def vector(**more: object) -> bytes:
    """Return an answer of one series, with more beside its data."""
    data = {"resultType": "vector", "result": [{"metric": {"agent": "a"}, "value": [1, "3"]}]}
    return json.dumps({"status": "success", "data": data, **more}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"isPartial": True}, "could not reach all of its storage"),
        ({"warnings": ["store 10.0.0.7:10901: connection refused"]}, "store 10.0.0.7:10901: connection refused"),
    ],
)
def test_an_answer_in_part_is_none(more: dict[str, object], said: str) -> None:
    """As VictoriaMetrics' cluster and Thanos mark it: what is missing would look like a fall. It is not tried again."""
    with loopback(lambda _asked: Answer(vector(**more))) as server, pytest.raises(MetricsPartError, match=said):
        Prometheus(server.url, sleep=no_wait).query("up", NOW)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"isPartial": False},
        {"warnings": []},
        {"warnings": ["PromQL info: metric might not be a counter"]},
        {"infos": ["PromQL info: x"]},
        {"data": {"resultType": "vector", "result": [{"metric": {"note": '"warnings":['}, "value": [1, "3"]}]}},
    ],
)
def test_a_word_about_the_query_is_no_missing_part(more: dict[str, object]) -> None:
    """Nor is a mark that says that the answer is whole, or a label that reads like one."""
    with loopback(lambda _asked: Answer(vector(**more))) as server:
        [points] = Prometheus(server.url, sleep=no_wait).query("up", NOW)
    assert points.values == (3.0,)


def test_tenant_and_login_are_sent_with_every_request() -> None:
    """Headers as they are set, name and password as basic authentication."""
    access = Access(login=("ana", "p4ss"), headers={"X-Scope-OrgID": "team-a"})
    with loopback(lambda _asked: Answer(vector())) as server:
        client = Prometheus(server.url, access=access, sleep=no_wait)
        client.query("up", NOW)
        client.version()
    assert [one.headers["X-Scope-OrgID"] for one in server.asked] == ["team-a"] * 3
    assert {one.headers["Authorization"] for one in server.asked} == {"Basic YW5hOnA0c3M="}


BUILD = {"status": "success", "data": {"version": "3.7.2", "revision": "a"}}
OTHER = {"data": {"resultType": "vector", "result": [{"metric": {"version": "2.1.0"}, "value": [1, "1"]}]}}


@pytest.mark.parametrize(
    ("build", "metric", "version"),
    [
        (Answer(json.dumps(BUILD).encode()), {}, "3.7.2"),
        (Answer(json.dumps(BUILD).encode()), OTHER, "3.7.2"),
        (Answer(b"404 page not found", 404), OTHER, "2.1.0"),
        (Answer(b"<html>", 200), OTHER, "2.1.0"),
        (Answer(b'{"data": {"version": ""}}', 200), OTHER, "2.1.0"),
        (Answer(b'{"data": null}', 200), {}, "unknown"),
    ],
)
def test_the_version_is_what_the_server_says_of_itself(build: Answer, metric: dict[str, object], version: str) -> None:
    """Not every server scrapes itself, and one may scrape others; where it does not say, the metric is asked."""

    def answer(asked: Asked) -> Answer:
        return build if asked.path.startswith("/api/v1/status/buildinfo") else Answer(vector(**metric))

    with loopback(answer) as server:
        assert Prometheus(server.url, sleep=no_wait).version() == version


def signed(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate of 127.0.0.1 that signs itself; return it and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    about = ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *about, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


def test_tls_with_an_own_authority_and_a_certificate_of_the_client(tmp_path: Path) -> None:
    """Who signed the server is named in a file; who is not known gets no answer, and the advice names the setting."""
    need("openssl", "openssl")
    cert, key = signed(tmp_path, "server")
    own, own_key = signed(tmp_path, "client")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(own))
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED
    with loopback(lambda _asked: Answer(vector()), context) as server:
        access = Access(ca_file=str(cert), cert=(str(own), str(own_key)))
        [points] = Prometheus(server.url, access=access, sleep=no_wait).query("up", NOW)
        with pytest.raises(MetricsError, match=r"certificate verify failed.*; \[prometheus\.eu\] ca_file names who"):
            Prometheus(server.url, access=Access(place="[prometheus.eu]"), sleep=no_wait).query("up", NOW)
        with pytest.raises(MetricsError):
            Prometheus(server.url, access=Access(ca_file=str(cert)), sleep=no_wait).query("up", NOW)
    assert points.values == (3.0,)
    assert len(server.asked) == 1


def test_the_file_of_the_settings_goes_before_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every question alike: requests by itself would trust what REQUESTS_CA_BUNDLE names, and not the setting."""
    need("openssl", "openssl")
    (cert, key), (other, _) = signed(tmp_path, "server"), signed(tmp_path, "other")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    def answer(asked: Asked) -> Answer:
        path = urlsplit(asked.path).path.removeprefix("/api/v1/")
        said = {"status/buildinfo": BUILD, "query_exemplars": {"status": "success", "data": None}}
        return Answer(json.dumps(said[path]).encode() if path in said else vector())

    with loopback(answer, context) as server:
        client = Prometheus(server.url, access=Access(ca_file=str(cert)), sleep=no_wait)
        assert client.query("up", NOW)
        assert client.exemplars("up", NOW, NOW) == []
        assert client.version() == "3.7.2"


def test_no_redirect_is_followed_and_no_password_is_said() -> None:
    """It would carry the tenant's headers to another host; an address may hold a login, and messages do not."""
    with loopback(lambda _asked: Answer(vector())) as other:
        moved = Answer(b"", 302, {"Location": f"{other.url}/api/v1/query"})
        with loopback(lambda _asked: moved) as server:
            url = server.url.replace("http://", "http://ana:hunter2@")
            client = Prometheus(url, access=Access(headers={"X-Api-Key": "k"}), sleep=no_wait)
            with pytest.raises(MetricsError, match="a redirect, which is not followed") as told:
                client.query("up", NOW)
    assert not other.asked
    assert "hunter2" not in f"{told.value}{client.url}"
