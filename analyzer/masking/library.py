"""The door of detect-secrets: its detectors look where a hint says that one of them may find something.

Its expressions cost 600 ns a character when each reads every text. So a detector is asked only about the surroundings
of a run of key-like characters, and only where a word stands there that its finds cannot do without; the library is
imported when that first happens. It comes in two distributions with one module: Yelp's, and Palo Alto Networks', which
is kept up and which we depend on; either will do. Which detector wants which word is the table below: the one thing
that is ours.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from analyzer.masking.sieve import any_of_words

HINTS: Mapping[str, tuple[str, ...]] = {
    "ArtifactoryDetector": ("akc", "artif", "jfrog", "buildkit"),
    "AWSKeyDetector": ("akia", "asia", "abia", "acca", "a3t", "aws"),
    "AzureStorageKeyDetector": ("accountkey", "azure"),
    "CloudantDetector": ("cloudant",),
    "DiscordBotTokenDetector": ("discord", "bot"),
    "GitHubTokenDetector": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "GitLabTokenDetector": (
        "glpat-",
        "gldt-",
        "glft-",
        "glsoat-",
        "glrt-",
        "gr1348941",
        "glcbt-",
        "glimt-",
        "glptt-",
        "glagent-",
        "gloas-",
    ),
    "IbmCloudIamDetector": ("ibm", "cloud_iam", "cloud-iam"),
    "IbmCosHmacDetector": ("cos", "secret_access", "secret-access"),
    "MailchimpDetector": ("-us",),
    "NpmDetector": ("npm", "authtoken"),
    "OpenAIDetector": ("t3blbkfj",),
    "PypiTokenDetector": ("pypi-age",),
    "SendGridDetector": ("sg.",),
    "SlackDetector": ("xox", "hooks.slack"),
    "SoftlayerDetector": ("softlayer",),
    "SquareOAuthDetector": ("sq0csp-",),
    "StripeDetector": ("k_live_",),
    "TelegramBotTokenDetector": ("telegram", "bot"),
    "TwilioKeyDetector": ("twilio",),
}
"""Detector -> words of which one must stand near, in lower case."""

OWN: frozenset[str] = frozenset({"BasicAuthDetector", "IPPublicDetector", "JwtTokenDetector", "PrivateKeyDetector"})
"""Detectors that are not asked. A password in a URL, a signed token and a private key have one pseudonym in every
spelling by our own rules, and one that is cut off is found as well; addresses of machines are evidence."""

SECRET_CHARS_MIN = 12
"""Some expressions give the prefix alone; what is shorter is no key."""


def hinted(surroundings: str) -> tuple[str, ...]:
    """Return the names of the detectors that may find something here. Costs a microsecond where none may."""
    lowered = surroundings.lower()
    if not _has_word(lowered):
        return ()
    return tuple(name for name, words in HINTS.items() if any(word in lowered for word in words))


def secrets(names: tuple[str, ...], surroundings: str) -> Iterator[str]:
    """Yield the secrets that the detectors of these names find."""
    known = detectors()
    for name in names:
        detector = known.get(name)
        if detector is None:
            continue
        for secret in detector.analyze_string(surroundings):
            if len(secret) >= SECRET_CHARS_MIN:
                yield secret


@cache
def detectors() -> Mapping[str, Any]:
    """Return every detector of the library that works by expressions, by its class's name."""
    import detect_secrets.plugins as rooms
    from detect_secrets.plugins.base import RegexBasedDetector

    found: dict[str, Any] = {}
    for room in pkgutil.iter_modules(rooms.__path__):
        module = importlib.import_module(f"{rooms.__name__}.{room.name}")
        for name, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, RegexBasedDetector) and not inspect.isabstract(member):
                found[name] = member()
    return found


_has_word = any_of_words(word for words in HINTS.values() for word in words)
