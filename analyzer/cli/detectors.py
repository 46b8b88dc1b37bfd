"""`analyzer detectors`: what is looked for, with which settings, and how often it was right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import DONE, GAPS, columns, json_option, print_json, say_gaps, settings_from, store_option

if TYPE_CHECKING:
    from analyzer.types.catalogue import Entry
    from analyzer.types.report import Incident

SCHEMA = "analyzer.detectors/1"


@click.command("detectors")
@click.argument("name", required=False)
@store_option
@json_option
def command(name: str | None, store: str | None, as_json: bool) -> int:
    """Show the catalogue of detectors, or one with every setting and where its value comes from.

    Settings stand under [detectors.NAME] in analyzer.toml, those of some agents under
    [detectors.NAME.agents."PATTERN"]. Precision is the share of the filed incidents that no human dismissed.

    Exit codes: 0 done; 2 no such detector; 3 a detector of another package cannot be used; 4 failed.
    """
    from analyzer.detectors.catalogue import catalogue
    from analyzer.render.catalogue import catalogue_outline, detector_outline
    from analyzer.render.terminal import terminal
    from analyzer.types.document import gap_document
    from analyzer.wiring.detecting import detectors_of
    from analyzer.wiring.opening import open_memory

    loaded = settings_from(store=store)
    there = detectors_of(loaded.settings)
    incidents: list[Incident] = []
    # The catalogue is there before the first run; only its precision comes from what was filed.
    if loaded.settings.store.exists():
        with open_memory(loaded.settings) as memory:
            incidents = memory.incidents()
    entries = catalogue(there.plain, there.configured, incidents, str(loaded.file or "default"))
    shown = entries if name is None else (_named(entries, name),)
    if as_json:
        print_json({
            "schema": SCHEMA,
            "detectors": [_document(entry) for entry in shown],
            "gaps": [gap_document(gap) for gap in there.gaps],
        })  # fmt: skip
    elif name is None:
        click.echo(terminal(catalogue_outline(shown), columns()), nl=False)
    else:
        click.echo(terminal(detector_outline(shown[0]), columns()), nl=False)
    say_gaps(there.gaps)
    return GAPS if there.gaps else DONE


def _named(entries: tuple[Entry, ...], name: str) -> Entry:
    """Return the entry of a name. Raises NotFoundError."""
    import difflib

    from analyzer.errors import NotFoundError

    found = next((entry for entry in entries if entry.name == name), None)
    if found is None:
        names = [entry.name for entry in entries]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
        raise NotFoundError(f"no detector called '{name}'; {hint}")
    return found


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind.value,
        "looks_at": entry.looks_at,
        "origin": entry.origin,
        "enabled": entry.enabled,
        "settings": [
            {
                "name": one.name,
                "value": one.value,
                "default": one.default,
                "source": one.source,
                "why": one.why,
            }
            for one in entry.settings
        ],
        "agents": [{"pattern": pattern, "settings": dict(given)} for pattern, given in entry.agents],
        "verdicts": {
            "incidents": entry.verdicts.incidents,
            "dismissed": entry.verdicts.dismissed,
            "confirmed": entry.verdicts.confirmed,
            "precision": entry.verdicts.precision,
        },
    }
