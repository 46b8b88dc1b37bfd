"""Prompts are files: plain text with `$variables`, found in the wheel or in the checkout."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

from analyzer.errors import PromptError

_PACKAGE = Path(__file__).resolve().parent
FOLDERS = (_PACKAGE / "_data" / "prompts", _PACKAGE.parent / "prompts")
"""Where prompts are looked for, in this order: the wheel carries them inside the package, a checkout at its top."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text of one prompt file."""

    name: str
    text: str

    @property
    def hash(self) -> str:
        """First 12 hex digits of the SHA-256 of the text: says which wording produced an explanation."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @property
    def variables(self) -> frozenset[str]:
        """Names of the variables in the text."""
        return frozenset(Template(self.text).get_identifiers())

    def render(self, **variables: str) -> str:
        """Return the text with every variable filled in. `$$` stands for a dollar sign.

        Values are put in as they are: a `$name` inside a value is not looked at again. Raises PromptError where a
        variable is missing, is not in the text, or the text holds a `$` that starts none.
        """
        missing = self.variables - variables.keys()
        unknown = variables.keys() - self.variables
        if missing or unknown:
            wrong = [f"lacks ${name}" for name in sorted(missing)] + [
                f"does not use ${name}" for name in sorted(unknown)
            ]
            raise PromptError(f"prompt {self.name!r}: {', '.join(wrong)}; correct the file or the call that renders it")
        try:
            return Template(self.text).substitute(variables)
        except ValueError as error:
            raise PromptError(f"prompt {self.name!r}: {error}; write $$ for a dollar sign") from error


def load(name: str, folders: tuple[Path, ...] = FOLDERS) -> Prompt:
    """Return the prompt of this name (the file `NAME.txt`). Raises PromptError where there is none."""
    return _load(name, folders)


def names(folders: tuple[Path, ...] = FOLDERS) -> list[str]:
    """Return the names of all prompts that are there, sorted."""
    return sorted({path.stem for folder in folders for path in folder.glob("*.txt")})


def prompt_of(text: str) -> Prompt | None:
    """Return the prompt that has this very text, or None: which wording was sent is told by name and hash."""
    return _by_text().get(text)


@cache
def _by_text() -> dict[str, Prompt]:
    return {prompt.text: prompt for prompt in map(load, names())}


@cache
def _load(name: str, folders: tuple[Path, ...]) -> Prompt:
    if not name or Path(name).name != name:
        raise PromptError(f"prompt {name!r}: a name is a file name without folders")
    for folder in folders:
        path = folder / f"{name}.txt"
        try:
            return Prompt(name, path.read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise PromptError(f"prompt {name!r}: {path} cannot be read ({error}); restore the file") from error
    places = ", ".join(str(folder) for folder in folders)
    raise PromptError(f"prompt {name!r} is in none of {places}; reinstall the package or restore the file")
