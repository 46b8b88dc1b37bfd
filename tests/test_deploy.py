"""What is shipped to run the analyst with: units, manifests, a crontab, an image."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from support.docs import DOCS, ROOT

from analyzer.cli.app import program
from analyzer.config import Settings, load

DEPLOY = ROOT / "deploy"
SYSTEMD = DEPLOY / "systemd"
SERVICES = sorted(SYSTEMD.glob("*.service"))
MANIFESTS = DEPLOY / "kubernetes" / "analyzer.yaml"
KUBERNETES = "1.34"
EXPOSURE_MAX = 2.0
"""As `systemd-analyze security` rates it: from 0 (closed) to 10 (open); below 2.5 it says OK."""


def unit(path: Path) -> dict[str, dict[str, list[str]]]:
    """Return a unit file: sections, and of each key all its values."""
    sections: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            current.setdefault(name, []).append(value)
    return sections


def manifests() -> list[dict[str, Any]]:
    """Return every object of the manifests."""
    return list(yaml.safe_load_all(MANIFESTS.read_text("utf-8")))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield kind and pod template of everything that starts pods."""
    for one in manifests():
        if one["kind"] == "Deployment":
            yield one["kind"], one["spec"]["template"]
        if one["kind"] == "CronJob":
            yield one["kind"], one["spec"]["jobTemplate"]["spec"]["template"]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield where a command of ours stands, and its arguments."""
    for path in SERVICES:
        for line in unit(path)["Service"]["ExecStart"]:
            yield path.name, shlex.split(line)[1:]
    for kind, template in pods():
        for container in template["spec"]["containers"]:
            yield kind, container["args"]
    for line in (DEPLOY / "crontab").read_text("utf-8").splitlines():
        if found := re.match(r"(?:\S+ +){5}analyzer (.*)", line):
            yield "crontab", shlex.split(found[1].split(">")[0])
    for command in re.findall(r"^CMD (.*)$", (DEPLOY / "Containerfile").read_text("utf-8"), re.MULTILINE):
        yield "Containerfile", yaml.safe_load(command)


@pytest.mark.parametrize(
    ("place", "arguments"), list(commands()), ids=lambda one: one if isinstance(one, str) else None
)
def test_every_command_is_one_of_ours(place: str, arguments: list[str]) -> None:
    """A command in a unit, a manifest or the crontab is read by the program as it is today."""
    context = program.make_context("analyzer", list(arguments), resilient_parsing=False)
    with context:
        name, command, rest = program.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        while rest and hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(name, rest, parent=context)


def test_every_variable_is_a_setting() -> None:
    """A misspelt variable would keep the program from starting."""
    known = {f"ANALYZER_{name.upper()}" for name in Settings.__dataclass_fields__} | {"ANALYZER_CONFIG"}
    named = {
        name
        for path in DEPLOY.rglob("*")
        if path.is_file()
        for name in re.findall(r"ANALYZER_[A-Z_]+", path.read_text("utf-8"))
    }
    assert named
    assert named <= known


def test_the_settings_in_the_manifests_are_read(tmp_path: Path) -> None:
    """The file in the ConfigMap is one that the program takes."""
    [config] = [one for one in manifests() if one["kind"] == "ConfigMap"]
    path = tmp_path / "analyzer.toml"
    path.write_text(config["data"]["analyzer.toml"], "utf-8")
    assert load({}, {"ANALYZER_CONFIG": str(path)}).settings.log_format == "json"


@pytest.mark.parametrize("path", [*SERVICES, *SYSTEMD.glob("*.timer")], ids=lambda path: path.name)
def test_systemd_takes_the_units(path: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing to say; only the program is another one, which is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    for one in SYSTEMD.iterdir():
        text = one.read_text("utf-8").replace("/opt/analyzer/bin/analyzer", "/bin/true")
        (tmp_path / one.name).write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / path.name], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_services_are_closed(path: Path) -> None:
    """A service may reach the network and its own folder, and little else, as systemd rates it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", path], capture_output=True, text=True, check=False, timeout=60
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= EXPOSURE_MAX


def test_units_take_gaps_and_incidents_for_no_failure() -> None:
    """Codes 1 and 3 were told on the routes; a service does not start again with settings that are wrong."""
    run, serve = unit(SYSTEMD / "analyzer-run.service")["Service"], unit(SYSTEMD / "analyzer-serve.service")["Service"]
    assert run["SuccessExitStatus"] == ["1 3"]
    assert serve["RestartPreventExitStatus"] == ["2"]
    timer = RawConfigParser(strict=False)
    timer.read(SYSTEMD / "analyzer-run.timer")
    assert timer["Timer"]["OnCalendar"] == "*:0/15"


@pytest.mark.parametrize("one", manifests(), ids=lambda one: one["kind"])
def test_kubernetes_takes_the_manifests(one: dict[str, Any]) -> None:
    """Every object has the form of its schema, strictly: a misspelt field is refused."""
    kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_a_misspelt_field_would_be_seen() -> None:
    """The check that passes above fails where there is something to see."""
    [job] = [one for one in manifests() if one["kind"] == "CronJob"]
    job["spec"]["concurencyPolicy"] = job["spec"].pop("concurrencyPolicy")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, KUBERNETES, strict=True)


@pytest.mark.parametrize(("kind", "template"), list(pods()), ids=lambda one: one if isinstance(one, str) else None)
def test_pods_have_no_rights_that_they_do_not_need(kind: str, template: dict[str, Any]) -> None:
    """As the restricted pod security standard asks, with a root file system that cannot be written."""
    spec = template["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_parts_of_the_manifests_fit_together() -> None:
    """Selectors find the pods, volumes and secrets are named as they are, and one pass at a time is asked for."""
    by_kind = {one["kind"]: one for one in manifests()}
    deployment, job, service = by_kind["Deployment"], by_kind["CronJob"], by_kind["Service"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    template = job["spec"]["jobTemplate"]["spec"]["template"]
    [near] = template["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert near["labelSelector"]["matchLabels"] == labels
    assert template["metadata"]["labels"] != labels
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    for _, one in pods():
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in one["spec"]["volumes"]
            if len(volume) > 1 and "persistentVolumeClaim" in volume
        ]
        assert claims == [by_kind["PersistentVolumeClaim"]["metadata"]["name"]]
        assert one["spec"]["securityContext"]["runAsUser"] == 10001


def test_the_image_runs_as_nobody_and_builds_what_the_wheel_needs() -> None:
    """No root, a number for Kubernetes to see, and every folder that the build asks for is copied into its stage."""
    text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    known = {
        "ARG",
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "ENTRYPOINT",
        "CMD",
    }
    assert {name for name, _ in steps} <= known
    assert [rest for name, rest in steps if name == "USER"] == ["10001:10001"]
    copied = {
        part.removeprefix("./").split("/")[0]
        for name, rest in steps
        if name == "COPY" and "--from" not in rest
        for part in rest.split()[:-1]
    }
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    wanted = set(re.findall(r'^"([a-z]+)[^"]*" = "analyzer/_data', project, re.MULTILINE))
    assert wanted
    assert wanted | {"analyzer", "pyproject.toml", "README.md"} <= copied
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text("utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_the_image_holds_every_library_that_a_setting_asks_for() -> None:
    """All extras are in it: a database or a collector is a setting of the image, and no other image."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    [installed] = re.findall(r'"analyzer\[([a-z,]+)\] @', (DEPLOY / "Containerfile").read_text("utf-8"))
    assert installed.split(",") == sorted(extras)


def test_the_page_names_every_file() -> None:
    """docs/running.md says what each file is for."""
    page = (DOCS / "running.md").read_text("utf-8")
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.suffix != ".dockerignore":
            assert path.relative_to(ROOT).as_posix() in page, path.name
