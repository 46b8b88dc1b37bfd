"""`analyzer rules`: recording and alert rules for Prometheus, and the cases that prove them."""

from __future__ import annotations

from pathlib import Path

import click

from analyzer.cli.common import DONE, json_option, print_json, settings_from

RULES_NAME, TESTS_NAME = "analyzer.rules.yml", "analyzer.tests.yml"


@click.command("rules")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Write both files there.")
@click.option("--tests", is_flag=True, help="Print the cases for `promtool test rules` instead of the rules.")
@json_option
def command(folder: Path | None, tests: bool, as_json: bool) -> int:
    """Make recording and alert rules for Prometheus from the settings of the detectors and the [budgets].

    Tokens per trajectory doubled, success, retries and loops against the week before, budgets, silence, and the
    analyst's own health with a dead man's switch. They are coarser than the detectors, and say so. With --folder both
    files are written: analyzer.rules.yml for `rule_files` of prometheus.yml, and analyzer.tests.yml, which
    `promtool test rules` runs.

    Exit codes: 0 done; 2 usage or configuration.
    """
    from analyzer.metrics.rules.files import cases_file, rules_file
    from analyzer.wiring.ruling import wanted

    made = wanted(settings_from().settings)
    files = {RULES_NAME: rules_file(made), TESTS_NAME: cases_file(made, RULES_NAME)}
    if folder is not None:
        written(folder, files)
    if as_json:
        print_json({"schema": "analyzer.rules/1", "folder": str(folder) if folder else None, "files": files})
    elif folder is not None:
        click.echo(f"wrote {folder / RULES_NAME} and {folder / TESTS_NAME}; `promtool test rules` proves them")
    else:
        click.echo(files[TESTS_NAME if tests else RULES_NAME], nl=False)
    return DONE


def written(folder: Path, files: dict[str, str]) -> None:
    """Write files into a folder that is made for them. Raises UsageError."""
    from analyzer.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}; choose another --folder") from None
