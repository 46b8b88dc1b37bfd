"""Which servers of metrics are set, how each is spoken to, and what a wrong setting is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from support.cli import analyzer
from support.http import Answer, Asked, loopback

from analyzer.config import Settings, load
from analyzer.errors import UsageError
from analyzer.wiring.metering import metrics_servers, open_metrics

EU = '[prometheus.eu]\nurl = "http://x"\n'


def settings(folder: Path, toml: str, **environ: str) -> Settings:
    """Return the settings of a file and variables."""
    file = folder / "analyzer.toml"
    file.write_text(toml)
    return load({}, {"ANALYZER_CONFIG": str(file), **environ}).settings


def test_without_any_there_is_no_source(tmp_path: Path) -> None:
    """Series come from the store then."""
    assert open_metrics(settings(tmp_path, "")) is None


def test_the_plain_settings_are_one_server_beside_the_named(tmp_path: Path) -> None:
    """With the tenant's header; secrets are in no representation of it."""
    found = metrics_servers(
        settings(
            tmp_path,
            '[prometheus.eu]\nurl = "https://eu.example/prom/"\nuser = "ana"\npassword = "s3cret"\n',
            ANALYZER_PROMETHEUS_URL="http://127.0.0.1:9090",
            ANALYZER_PROMETHEUS_HEADERS="X-Scope-OrgID=team-a",
        )
    )
    assert list(found) == ["prometheus", "eu"]
    assert found["prometheus"].headers == {"x-scope-orgid": "team-a"}
    assert found["eu"].url == "https://eu.example/prom"
    assert "s3cret" not in repr(found)


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    """Without the new line at its end; a file that is not there is said before anything is asked."""
    (tmp_path / "token").write_text("t0k\n")
    toml = f'[prometheus.eu]\nurl = "http://127.0.0.1:9"\ntoken_file = "{tmp_path / "token"}"\n'
    assert metrics_servers(settings(tmp_path, toml))["eu"].secret("token") == "t0k"
    (tmp_path / "token").unlink()
    with pytest.raises(UsageError, match=r"\[prometheus.eu\] token_file: cannot read"):
        open_metrics(settings(tmp_path, toml))


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[prometheus]\neu = "http://x"', "prometheus.eu: expected a table with `url`"),
        ("[prometheus.eu]", "url: a URL must begin with http"),
        (f'{EU}tokn = "a"', "tokn: there is no such setting of a server; did you mean token"),
        (f'{EU}token = "a"\nuser = "b"', "token and user exclude each other"),
        (f'{EU}key_file = "k"', "key_file goes with cert_file"),
        (f"{EU}headers = {{a = 1}}", "headers: expected a table of texts"),
        (f'{EU}headers = {{a = "b\\nc: d"}}', "headers: expected a table of texts"),
        (f'{EU}replica_of = "us"', "replica_of: there is no other server 'us'"),
        (f'{EU}ca_file = "/nowhere.pem"', "there is no file /nowhere.pem"),
        (f'{EU}[prometheus.us]\nurl = "http://x/"', "the servers of metrics 'eu' and 'us' are one"),
        (f'{EU}replica_of = "prometheus"', "there is no server 'prometheus'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(tmp_path: Path, toml: str, said: str) -> None:
    """Before anything is sent."""

    def opened() -> None:
        open_metrics(settings(tmp_path, toml))

    with pytest.raises(UsageError) as told:
        opened()
    assert said in str(told.value)


def counting(agent: str) -> Callable[[Asked], Answer]:
    """Return what a server answers that counts one trajectory of an agent at every step."""

    def reply(asked: Asked) -> Answer:
        query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
        found: dict[str, object] = {"metric": {"version": f"1-{agent}"}, "value": [1, "1"]}
        if "start" in query:
            times = range(int(query["start"]), int(query["end"]) + 1, 900)
            found = {"metric": {"agent": agent}, "values": [[at, "1"] for at in times]}
        return Answer(json.dumps({"status": "success", "data": {"result": [found]}}).encode())

    return reply


def test_doctor_asks_each_server_by_itself(tmp_path: Path) -> None:
    """A replica too: it must answer before it is needed. One that is dead is named with where it is set."""
    file = tmp_path / "analyzer.toml"
    env = {"ANALYZER_CONFIG": str(file), "ANALYZER_STORE": str(tmp_path / "s.db")}

    def check(toml: str) -> tuple[str, str]:
        file.write_text(toml)
        checks = json.loads(analyzer("doctor", "--json", env=env).stdout)["checks"]
        (found,) = [one for one in checks if one["name"] == "prometheus"]
        return found["state"], found["detail"]

    with loopback(counting("billing")) as east, loopback(counting("triage")) as west:
        both = f'[prometheus.east]\nurl = "{east.url}"\n[prometheus.west]\nurl = "{west.url}"\n'
        well = check(both)
        dead = check(f'{both}[prometheus.twin]\nurl = "http://127.0.0.1:9"\nreplica_of = "west"\n')
    said = "east version 1-billing, west version 1-triage; agents of the last 24 h: billing, triage"
    assert well == ("ok", said)
    assert dead[0] == "failed"
    assert dead[1].startswith("east version 1-billing, west version 1-triage, twin: Prometheus at http://127.0.0.1:9")
    assert "check [prometheus.twin] url" in dead[1]
