"""The house holds: floors, doors, sizes, docstrings, and one reader of the environment.

Each rule is a function from parsed modules to complaints. The rules are run on the package, where they must find
nothing, and on deliberate breaches, where they must find each one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "analyzer"

FLOORS: dict[str, int] = {
    "types": 0,
    "errors": 0,
    "config": 1,
    "prompts": 1,
    "cycles": 1,
    "retry": 1,
    "web": 1,
    "masking": 1,
    "stores": 2,
    "detectors": 3,
    "metrics": 3,
    "ingest": 3,
    "render": 3,
    "accounting": 3,
    "simulation": 3,
    "agent": 4,
    "triage": 4,
    "notify": 4,
    "replay": 4,
    "selfwatch": 4,
    "pipeline": 5,
    "wiring": 6,
    "server": 7,
    "cli": 8,
    "pytest_plugin": 8,
    "__main__": 9,
}
DOORS: dict[str, str] = {
    "anthropic": "agent/claude.py",
    "clickhouse_connect": "stores/clickhouse.py",
    "prometheus_api_client": "metrics/prometheus.py",
    "sqlite_utils": "stores/",
    "sqlite3": "stores/",
    "psycopg": "stores/postgres.py",
    "detect_secrets": "masking/library.py",
    "re2": "masking/sieve.py",
    "prometheus_client": "selfwatch/",
    "tenacity": "retry.py",
    "opentelemetry.sdk": "selfwatch/",
    "opentelemetry.exporter": "selfwatch/export.py",
    "slack_sdk": "notify/slack.py",
    "jinja2": "server/pages/",
    "markdown_it": "server/pages/",
    "starlette": "server/",
    "uvicorn": "server/",
    "grpc": "server/grpc.py",
    "mcp": "server/mcp/wire.py",
    "genai_prices": "ingest/pricing.py",
    "vl_convert": "render/charts/drawing.py",
}
TALKERS = ("cli/", "__main__.py")
"""Only these print or exit."""
LINES_MAX = 400
FUNCTION_LINES_MAX = 70


@dataclass(frozen=True)
class Module:
    """One parsed file: its path below the package, as posix text, and its tree."""

    path: str
    source: str

    @property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.source)

    @property
    def room(self) -> str:
        """The first part of the path: the folder, or the module at the top."""
        return self.path.split("/", 1)[0].removesuffix(".py")


def package() -> list[Module]:
    """Return every module of the package."""
    return [Module(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py"))]


def imports(module: Module) -> list[tuple[int, str]]:
    """Return (line, dotted name) of everything a module imports, wherever the import stands."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = f"{'.' * node.level}{node.module or ''}"
            found.append((node.lineno, base))
            if base == "analyzer":
                found += [(node.lineno, f"analyzer.{alias.name}") for alias in node.names]
    return found


def wrong_floors(modules: list[Module]) -> list[str]:
    """Complain about imports that point up or across, are relative, or name an unknown room."""
    complaints = []
    for module in modules:
        if module.path == "__init__.py":
            continue
        if module.room not in FLOORS:
            complaints.append(f"{module.path}: room '{module.room}' has no floor")
            continue
        for line, name in imports(module):
            if name.startswith("."):
                complaints.append(f"{module.path}:{line}: relative import hides the floor")
            parts = name.split(".")
            if parts[0] != "analyzer" or len(parts) == 1 or parts[1] == module.room:
                continue
            floor = FLOORS.get(parts[1])
            same_floor_ok = FLOORS[module.room] == 0
            if floor is None or floor > FLOORS[module.room] or (floor == FLOORS[module.room] and not same_floor_ok):
                complaints.append(f"{module.path}:{line}: imports {name}, which is not below it")
    return complaints


def heavy_types(modules: list[Module]) -> list[str]:
    """Complain about anything but the standard library in types/ and errors.py."""
    import sys

    complaints = []
    for module in modules:
        if module.room in {"types", "errors"}:
            for line, name in imports(module):
                top = name.split(".")[0]
                if top != "analyzer" and top not in sys.stdlib_module_names:
                    complaints.append(f"{module.path}:{line}: types need only the standard library, not {name}")
    return complaints


def wrong_doors(modules: list[Module]) -> list[str]:
    """Complain about an SDK that comes in by another door than its own."""
    complaints = []
    for module in modules:
        for line, name in imports(module):
            for sdk, door in DOORS.items():
                if (name == sdk or name.startswith(sdk + ".")) and not module.path.startswith(door):
                    complaints.append(f"{module.path}:{line}: {sdk} comes in through {door} only")
    return complaints


def too_long(modules: list[Module]) -> list[str]:
    """Complain about long files and long functions."""
    complaints = []
    for module in modules:
        lines = module.source.count("\n")
        if lines > LINES_MAX:
            complaints.append(f"{module.path}: {lines} lines")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    complaints.append(f"{module.path}:{node.lineno}: {node.name} has {length} lines")
    return complaints


def without_docstring(modules: list[Module]) -> list[str]:
    """Complain about modules that do not say what they are for."""
    return [f"{module.path}: no docstring" for module in modules if not ast.get_docstring(module.tree)]


def readers_of_the_environment(modules: list[Module]) -> list[str]:
    """Complain about `os.environ` and `os.getenv` outside config/loading.py."""
    complaints = []
    for module in modules:
        if module.path == "config/loading.py":
            continue
        for node in ast.walk(module.tree):
            attribute = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
            name = isinstance(node, ast.ImportFrom) and node.module == "os"
            taken = name and any(alias.name in {"environ", "getenv"} for alias in node.names)  # type: ignore[attr-defined]
            if attribute or taken:
                complaints.append(f"{module.path}:{node.lineno}: only config/loading.py reads the environment")  # type: ignore[attr-defined]
    return complaints


def talkers(modules: list[Module]) -> list[str]:
    """Complain about printing and exiting below the command line."""
    complaints = []
    for module in modules:
        if module.path.startswith(TALKERS):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in {"print", "sys.exit", "exit", "quit", "click.echo", "os._exit"}:
                    complaints.append(f"{module.path}:{node.lineno}: {called} belongs to the command line")
    return complaints


Rule = Callable[[list[Module]], list[str]]
RULES: tuple[Rule, ...] = (
    wrong_floors,
    heavy_types,
    wrong_doors,
    too_long,
    without_docstring,
    readers_of_the_environment,
    talkers,
)


@pytest.mark.parametrize("rule", RULES)
def test_package_keeps_the_rule(rule: Rule) -> None:
    """The package as it stands breaks none of the rules."""
    assert rule(package()) == []


BREACHES: list[tuple[Rule, str, str]] = [
    (wrong_floors, "stores/bad.py", "from analyzer.pipeline import run\n"),
    (wrong_floors, "stores/bad.py", "def f():\n    import analyzer.cli.run\n"),
    (wrong_floors, "detectors/bad.py", "from analyzer import metrics\n"),
    (wrong_floors, "detectors/bad.py", "from analyzer.ingest import otlp\n"),
    (wrong_floors, "detectors/bad.py", "from . import cost\n"),
    (wrong_floors, "attic/bad.py", "'''Nowhere.'''\n"),
    (wrong_floors, "config/loading.py", "from analyzer.masking import Masker\n"),
    (heavy_types, "types/bad.py", "import numpy\n"),
    (wrong_doors, "pipeline/run.py", "import anthropic\n"),
    (wrong_doors, "agent/investigator.py", "from anthropic.types import Message\n"),
    (wrong_doors, "metrics/rollups.py", "from prometheus_api_client import PrometheusConnect\n"),
    (wrong_doors, "notify/deliver.py", "import tenacity\n"),
    (wrong_doors, "agent/watch.py", "from opentelemetry.sdk.trace import TracerProvider\n"),
    (too_long, "wiring.py", "x = 1\n" * 401),
    (too_long, "wiring.py", "def f():\n" + "    x = 1\n" * 70),
    (without_docstring, "wiring.py", "x = 1\n"),
    (readers_of_the_environment, "wiring.py", "import os\nos.environ['X']\n"),
    (readers_of_the_environment, "wiring.py", "from os import getenv\n"),
    (talkers, "pipeline/run.py", "print('hello')\n"),
    (talkers, "pipeline/run.py", "import sys\nsys.exit(1)\n"),
]


@pytest.mark.parametrize(("rule", "path", "source"), BREACHES)
def test_breach_is_seen(rule: Rule, path: str, source: str) -> None:
    """A deliberate breach of each rule is complained about."""
    assert rule([Module(path, source)]) != []


def test_the_picture_in_the_docs_names_every_room() -> None:
    """`docs/architecture.md` shows every room on its floor, so that the picture cannot fall behind the house."""
    picture = (ROOT.parent / "docs" / "architecture.md").read_text("utf-8")
    floors = [line.strip() for line in picture.splitlines() if line.strip()[:1].isdigit()]
    drawn = {word: int(line.split()[0]) for line in floors for word in line.split()[1:]}
    for room in {module.room for module in package()} - {"__init__"}:
        assert drawn.get(room) == FLOORS[room], f"{room} is missing on floor {FLOORS[room]} of docs/architecture.md"
