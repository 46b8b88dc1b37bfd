"""Orders in data: text that a tool returned and that speaks to the model which will read it.

What is looked for is an instruction addressed at a model, not talk about one. A sign is strong (an order to drop
earlier instructions, in several languages; the same in base64; words written in characters that nobody sees) or weak
(a turn that pretends to be the system's, an address to "AI assistants", an order to keep something from the user, one
to give away a prompt or secrets, one that gives a new role). One strong sign or two different weak ones make an
order. A text that quotes such words to explain them ("attackers write ...") makes none unless something else is strong.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

LOOKED_AT = 200_000
"""Characters of one text that are looked at; the rest of a longer one is not."""
QUOTE_CHARS = 200
TAGS_MIN, ZERO_WIDTH_MIN = 6, 24
"""Hidden characters in a row that can only be writing: six tag letters are a word, 24 zero-width ones three bytes."""
_BASE64_MAX = 20
"""Encoded pieces of one text that are decoded."""

_DROP = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing)|bypass|discard|stop following|do not follow|don't"
    r" follow)"
    r"[\s,:*_]+(?:(?:all|any|every|the|your|these|those|of|my|and|everything|completely|entirely|please|to)[\s,]+){0,5}"
)
_WHAT = (
    r"(?:instructions?|prompts?|rules?|guidelines?|directions?|orders?|directives?|training|guardrails?|programming"
    r"|policy"
    r"|policies|restrictions?|safety \w+|commands?|constraints?)"
)
_BEFORE = (
    r"(?:previous|prior|above|earlier|preceding|former|existing|original|initial|system|developer|safety|foregoing)"
)
_STRONG = (
    rf"{_DROP}(?:{_BEFORE}[\s,]+(?:and\s+)?(?:{_BEFORE}\s+)?(?:\w+\s+)?)+{_WHAT}",
    (
        rf"{_DROP}{_WHAT}[\s,]+(?:(?:that|which)\s+)?(?:you(?:'ve| have)?\s+(?:were|been|got|received|given)|above"
        rf"|before|so far)"
    ),
    (
        rf"{_DROP}(?:everything|all|anything)\s+(?:you (?:were|have been) told|above|before (?:this|that)|said (?:above"
        rf"|before))"
    ),
    # German, French, Spanish, Italian, Portuguese, Dutch, Polish, Turkish
    (
        r"(?:ignorier\w*|missacht\w*|vergiss)\s+(?:bitte\s+)?(?:alle\s+|die\s+|deine\s+"
        r"|s[äa]mtliche\s+)*(?:vorherigen|bisherigen|"
        r"obigen|vorigen|fr[üu]heren)\s+(?:anweisungen|befehle|instruktionen|regeln|vorgaben)"
    ),
    (
        r"(?:ignore[zr]?|oublie[zr]?)\s+(?:toutes\s+)?(?:les|vos|tes)\s+(?:instructions|consignes"
        r"|r[èe]gles)\s+(?:pr[ée]c[ée]dentes|"
        r"ant[ée]rieures|ci-dessus)"
    ),
    (
        r"(?:ignora|ignore|olvida|olvide)\s+(?:todas\s+)?(?:las|tus|sus)\s+(?:instrucciones|[óo]rdenes"
        r"|reglas)\s+(?:anteriores|previas)"
    ),
    r"ignora\s+(?:tutte\s+)?le\s+(?:istruzioni|regole)\s+(?:precedenti|sopra)",
    r"(?:ignore|esque[çc]a)\s+(?:todas\s+)?(?:as\s+)?(?:suas\s+)?(?:instru[çc][õo]es|regras)\s+anteriores",
    r"negeer\s+(?:alle\s+)?(?:de\s+)?(?:vorige|eerdere|bovenstaande)\s+(?:instructies|opdrachten)",
    r"zignoruj\s+(?:wszystkie\s+)?(?:poprzednie|wcze[śs]niejsze)\s+(?:instrukcje|polecenia)",
    r"[öo]nceki\s+(?:t[üu]m\s+)?(?:talimatlar[ıi]?|komutlar[ıi]?)\s+(?:yok say|g[öo]z ard[ıi] et|unut)",  # noqa: RUF001 - Turkish
    # Russian, Chinese, Japanese, Korean, Arabic, Hindi
    r"(?:игнорируй(?:те)?|забудь(?:те)?)\s+(?:все\s+)?(?:предыдущие|прошлые|прежние)\s+(?:инструкции|указания|команды)",
    r"(?:忽略|无视|忘记|忽視|無視)(?:掉)?(?:你)?(?:之前|以上|先前|前面|上面|所有|一切)+(?:的)?(?:所有)?(?:指令|指示|说明|提示|規則|规则)",
    r"(?:これまで|以前|前|上記|今まで)の(?:すべての|全ての)?(?:指示|命令|ルール)(?:を|は)?(?:すべて|全て)?(?:無視|忘れ)",
    r"(?:이전|위의|앞의)\s*(?:모든\s*)?(?:지시|명령|지침)(?:사항)?(?:을|를|은)?\s*(?:모두\s*)?(?:무시|잊)",
    r"تجاهل\s+(?:جميع\s+|كل\s+)?(?:التعليمات|الأوامر)\s+(?:السابقة|أعلاه)",
    r"(?:पिछले|पूर्व)\s+(?:सभी\s+)?(?:निर्देशों|आदेशों)\s+(?:को\s+)?(?:अनदेखा|नज़रअंदाज़)",
)
_OVERRIDES = re.compile("|".join(f"(?:{one})" for one in _STRONG), re.IGNORECASE)
_NO_ROLE = r"(?! (?:connected|logged|subscribed|ready|able|being|on|in|at|registered|signed|using))"
"""What follows "you are now" where nobody is given a role."""
_WEAK_SIGNS: dict[str, str] = {
    "a turn that pretends to be the system's": (
        r"<\|(?:im_start|system|start_header_id)\|>|\[/?INST\]|<</?SYS>>|</?(?:system|system_prompt|tool_result"
        r"|function_results"
        r"|instructions?)>|(?:^|\n)\s*(?:#{1,4}\s*)?(?:\*\*)?(?:system|developer|admin(?:istrator)?)(?: (?:message"
        r"|prompt|override|notice"
        r"|instruction))?(?:\*\*)?\s*:\s|\n\s*(?:human|assistant)\s*:\s"
    ),
    "an address to the model": (
        r"\b(?:attention|note to|message (?:to|for)|instructions? (?:to|for)|important for|dear|hey|hello|hi|for"
        r"|to)[\s,:]+"
        r"(?:all\s+|any\s+|the\s+|every\s+)?(?:ai|llms?|large language models?|language models?|chatbots?|claude"
        r"|chatgpt|gpt|gemini"
        r"|copilot)(?:[\s-](?:agents?|assistants?|models?|systems?|readers?|bots?))?\s*(?:[:,!-]|reading|processing"
        r"|summari|that)"
        r"|\bif you are an? (?:ai|llm|language model|assistant|agent)\b|\b(?:ai|llm) (?:assistants?|agents?|models?)"
        r" (?:must|should|"
        r"are (?:required|instructed))\b|\bas an ai\b.{0,40}\byou must\b"
    ),
    "an order to keep it from people": (
        r"\b(?:do not|don't|never|without)\s+(?:tell(?:ing)?|mention(?:ing)?|inform(?:ing)?|reveal(?:ing)?"
        r"|alert(?:ing)?|notify(?:ing)?"
        r"|report(?:ing)?|disclos(?:e|ing)|show(?:ing)?)\b[^.\n]{0,40}\b(?:users?|humans?|operators?|anyone|anybody"
        r"|customers?|people"
        r"|on-call|developers?)\b"
    ),
    "an order to give something away": (
        r"\b(?:reveal|print|output|repeat|leak|send|exfiltrate|disclose|forward|post|upload|e-?mail|include"
        r"|append)\b[^.\n]{0,60}"
        r"\b(?:your (?:system |initial |full |entire )?(?:prompt|instructions)|system prompt|api[ _-]?keys?|secrets?"
        r"|credentials?"
        r"|passwords?|access tokens?|env(?:ironment)? var\w*|conversation history|private keys?|\.env)\b"
    ),
    "a new role or new instructions": (
        rf"\byou are now\b{_NO_ROLE}"
        r"|\bnew (?:system )?(?:instructions?|task|goal|objective|role)(?: for you)?\s*:"
        r"|\byour (?:new|real|true|actual|only) (?:task|instructions?|goal|role|objective)\b|\bfrom now on,? (?:you"
        r"|ignore|always|only|act)\b"
        r"|\b(?:act|behave|pretend) (?:as|to be|like) (?:an? )?(?:unrestricted|uncensored|dan\b|developer mode"
        r"|jailbroken)"
        r"|\b(?:developer|debug|god|admin|maintenance) mode (?:is )?(?:enabled|on|activated)\b"
    ),
    "an order to act at once": (
        r"\byou (?:must|have to|are (?:required|instructed|ordered) to)\b[^.\n]{0,20}\b(?:now|immediately|instead"
        r"|call|comply|obey"
        r"|ignore)\b"
        r"|\b(?:immediately|instead,?|now)\s+(?:call|run|execute|invoke|send|delete|transfer|visit|fetch|open|close"
        r"|approve|wire)\b"
        r"[^.\n]{0,60}\b(?:tool|function|url|https?:|command|account|e-?mail|incident|ticket|file|database|endpoint)"
    ),
}
"""What each weak sign is, in words for people, and how it is recognised."""
_ANCHORS: dict[str, tuple[str, ...]] = {
    "a turn that pretends to be the system's": (
        "<|",
        "[inst",
        "[/inst",
        "<<",
        "system",
        "developer",
        "admin",
        "human",
        "assistant",
        "tool_result",
        "function_results",
        "instruction",
    ),
    "an address to the model": (
        " ai",
        "ai ",
        "llm",
        "language model",
        "chatbot",
        "claude",
        "gpt",
        "gemini",
        "copilot",
        "if you are a",
    ),
    "an order to keep it from people": ("do not ", "don't ", "never ", "without "),
    "an order to give something away": (
        "prompt",
        "instructions",
        "key",
        "secret",
        "credential",
        "password",
        "token",
        "env",
        "history",
    ),
    "a new role or new instructions": (
        "you are now",
        "new ",
        "your ",
        "from now on",
        "unrestricted",
        "uncensored",
        "dan",
        " mode",
        "jailbroken",
    ),
    "an order to act at once": (
        "you must",
        "you have to",
        "you are required",
        "you are instructed",
        "you are ordered",
        "immediately",
        "instead",
        "now ",
    ),
}
"""Without any of these a sign is not there: most texts are done with after a look for words."""
_STRONG_ANCHORS = (
    "ignor",
    "disregard",
    "forget",
    "overrid",
    "bypass",
    "discard",
    "follow",
    "missacht",
    "vergiss",
    "oublie",
    "olvid",
    "esque",
    "negeer",
    "nceki",
    "игнорируй",
    "забудь",
    "忽略",
    "无视",
    "忘记",
    "忽視",
    "無視",
    "忘れ",
    "무시",
    "잊",
    "تجاهل",
    "अनदेखा",
    "नज़रअंदाज़",
)
SIGNS_MIN = 2
"""One weak sign is how people write."""
_WEAK = {what: re.compile(source, re.IGNORECASE) for what, source in _WEAK_SIGNS.items()}


def _in_base64(word: str) -> set[str]:
    """Return what a word looks like inside base64, wherever it begins: whole groups of three bytes, encoded."""
    found = set()
    for skipped in range(3):
        whole = word[skipped:]
        found.add(base64.b64encode(whole[: len(whole) // 3 * 3].encode()).decode())
    return found


_BASE64_SIGNS = sorted(
    {piece for word in ("instruction", "previous", "system") for form in (word, word.capitalize(), word.upper())
     for piece in _in_base64(form)}
)  # fmt: skip
SIGNS = (
    (
        r"(?:ignor|disregard|forget|overrid|bypass|discard|not follow|n't follow|stop following)[^\n]*"
        r"(?:instru|istruz|prompt|rule|guideline|direct|order|training|guardrail|programming|polic|restrict|safety"
        r"|command|constraint"
        r"|told|above|before)"
    ),
    r"ignorier|missacht|vergiss|oublie|ignora |olvid|esque[cç]a|negeer|zignoruj|nceki ",
    r"игнорируй|забудь|忽略|无视|忘记|忽視|無視|忘れ|무시|잊|تجاهل|अनदेखा|नज़रअंदाज़",
    (
        r"<\|(?:im_start|system|start_header)|\[/?inst\]|<</?sys>>|</?(?:system|tool_result|function_results"
        r"|instructions?)"
    ),
    r"(?:^|\n)[ \t#*]*(?:system|developer|admin)[a-z \t*]*:|\n\s*(?:human|assistant)\s*:",
    (
        r"\b(?:ai|llms?|language models?|chatbots?|claude|chatgpt|gpt|gemini|copilot)\b[a-z \t-]*(?:[:,!]|reading"
        r"|processing|summari"
        r"|that|must|should|are )|if you are an?|as an ai"
    ),
    r"(?:do not|don't|never|without) (?:tell|mention|inform|reveal|alert|notify|report|disclos|show)",
    (
        r"you are now|new (?:system )?(?:instruct|task|goal|objective|role)|your (?:new|real|true|actual|only) |from"
        r" now on"
        r"|unrestricted|uncensored|developer mode|jailbroken| mode (?:is )?(?:enabled|on|activated)"
    ),
    (
        r"you (?:must|have to|are (?:required|instructed|ordered))|(?:immediately|instead,?|now)\s+(?:call|run"
        r"|execute|invoke|send"
        r"|delete|transfer|visit|fetch|open|close|approve|wire)"
    ),
    f"(?-i:{'|'.join(re.escape(piece) for piece in _BASE64_SIGNS)})",
    r"[\x{e0020}-\x{e007e}]",
    r"[\x{200b}-\x{200d}\x{2060}\x{feff}][\x{200b}-\x{200d}\x{2060}\x{feff}]",
)
"""Without any of these (RE2, letter case aside) a text holds no order: see `stores.steering`. Of the weak signs one
kind is left out, the most common: an order needs two."""
_MENTIONED = re.compile(
    r"(?:\be\.g\.|\bfor example|\bexamples?\b|\bsuch as|\blike\b|\battack\w*|\binjections?\b|\bjailbreak\w*"
    r"|\bphrases?\b|\bpatterns?\b"
    r"|\bdetect\w*|\bfilter\w*|\bknown as|\bso-called|\bwrites?\b|\btest(?:s|ed|ing)?\b|\bpayloads?\b)[^.\n]{0,80}"
    r"[\"'`“‘„«‹「]\s*$",  # noqa: RUF001 - quotation marks
    re.IGNORECASE,
)
"""Such words, and the quotation mark that opens right before a sign. Without one they are part of the order: whoever
writes an order may begin it with "For example," and end it with "tell nobody about this attack"."""
_MENTIONED_AFTER = re.compile(
    r"^[^.\n\"`”’»“]{0,60}?[\"'`”’»“](?!\w)[^.\n]{0,60}"  # noqa: RUF001 - quotation marks
    r"\b(?:attacks?|injections?|jailbreaks?|is an? (?:example|classic|known)|are (?:examples|classic))\b",
    re.IGNORECASE,
)
"""A quotation mark that closes behind a sign, which no apostrophe within a word is, and such words behind it."""
_TAGS = re.compile(f"[\U000e0020-\U000e007e]{{{TAGS_MIN},}}")
_ZERO_WIDTH = re.compile(f"[\u200b-\u200d\u2060\ufeff]{{{ZERO_WIDTH_MIN},}}")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{32,4000}={0,2}(?![A-Za-z0-9+/_=-])")
_URL = re.compile(r"https?://[^\s\"'<>)\]]{4,200}|[\w.+-]+@[\w-]+\.[\w.]{2,}", re.IGNORECASE)
_NAMES = re.compile(
    r"\b(?:call|run|use|invoke|execute)\s+(?:the\s+)?(?:tool\s+|function\s+)?[`'\"]?([a-z]\w*_\w+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Order:
    """An instruction to a model that stands in data."""

    what: str
    """In words for people."""
    quote: str
    """The words as they stand; empty where they are hidden or encoded, and cannot be shown as they are."""
    targets: frozenset[str]
    """What the text names that could be acted on: addresses, and tools to be called; in lower case."""


def order_in(text: str) -> Order | None:
    """Return the order that a text holds, or None. At most LOOKED_AT characters are looked at."""
    text = text[:LOOKED_AT]
    return _hidden(text) or _spoken(text) or _encoded(text)


def _spoken(text: str) -> Order | None:
    lowered = text.lower()
    if any(anchor in lowered for anchor in _STRONG_ANCHORS):
        said = next((match for match in _OVERRIDES.finditer(text) if not _is_mention(text, match)), None)
        if said is not None:
            return Order("an order to drop earlier instructions", _line(text, said), _targets(text, said.start()))
    possible = [what for what, anchors in _ANCHORS.items() if any(anchor in lowered for anchor in anchors)]
    signs: list[tuple[str, re.Match[str]]] = []
    for tried, what in enumerate(possible):
        if len(signs) + len(possible) - tried < SIGNS_MIN:
            return None
        match = next((found for found in _WEAK[what].finditer(text) if not _is_mention(text, found)), None)
        signs += [(what, match)] if match is not None else []
    if len(signs) < SIGNS_MIN:
        return None
    first = min((match for _, match in signs), key=lambda match: match.start())
    return Order(" and ".join(sorted(what for what, _ in signs)[:2]), _line(text, first), _targets(text, first.start()))


def _hidden(text: str) -> Order | None:
    if text.isascii():
        return None
    tags = _TAGS.search(text)
    if tags is not None:
        return Order("words in characters that nobody sees", "", _targets(_untagged(tags.group()), 0))
    if _ZERO_WIDTH.search(text) is not None:
        return Order("a message in zero-width characters", "", frozenset())
    return None


def _encoded(text: str) -> Order | None:
    for plain in _decoded(text):
        if _OVERRIDES.search(plain) or sum(pattern.search(plain) is not None for pattern in _WEAK.values()) > 1:
            return Order("an order in base64", "", _targets(plain, 0))
    return None


def _decoded(text: str) -> Iterator[str]:
    for tried, match in enumerate(_BASE64.finditer(text)):
        if tried >= _BASE64_MAX:
            return
        piece = match.group().replace("-", "+").replace("_", "/").rstrip("=")
        try:
            plain = base64.b64decode(piece + "=" * (-len(piece) % 4), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            continue
        if plain.isprintable():
            yield plain


def _untagged(tags: str) -> str:
    return "".join(chr(ord(char) - 0xE0000) for char in tags)


def _is_mention(text: str, match: re.Match[str]) -> bool:
    """Tell whether words are spoken of and not said: they stand in quotation marks, among words that speak of them."""
    before = text[max(match.start() - 160, 0) : match.start()]
    after = text[match.end() : match.end() + 100]
    return _MENTIONED.search(before) is not None or _MENTIONED_AFTER.search(after) is not None


def _line(text: str, match: re.Match[str]) -> str:
    """Return the words from a sign on, within its line: verbatim, because it is quoted."""
    start = match.start() + len(match.group()) - len(match.group().lstrip())
    end = text.find("\n", max(match.end(), start + 1))
    return text[start : min(end if end >= 0 else len(text), start + QUOTE_CHARS)].strip()


def _targets(text: str, start: int) -> frozenset[str]:
    told = text[start : start + 1000]
    names = {match.group(1).lower() for match in _NAMES.finditer(told)}
    return frozenset({match.group().lower().rstrip(".,;") for match in _URL.finditer(told)} | names)
