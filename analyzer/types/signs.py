"""What orders to a model look like: the signs that `orders` judges, as expressions and as words to look for first.

Each weak sign has its anchors, words without one of which it is not there; `SIGNS` says the same of all signs together
in one RE2 expression, for texts as they arrive.
"""

from __future__ import annotations

import base64
import re

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
OVERRIDES = re.compile("|".join(f"(?:{one})" for one in _STRONG), re.IGNORECASE)
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
        r"|copilot)\b(?:[\s-](?:agents?|assistants?|models?|systems?|readers?|bots?))?\s*(?:[:,!-]|reading|processing"
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
    "an order to drop what it goes by": (
        rf"{_DROP}(?<=your ){_WHAT}\b"
        r"|\b(?:ignore|disregard|forget)\s+(?:all\s+)?what(?:ever)?\s+you(?:'ve been| (?:were|have been))"
        r" (?:told|taught|instructed)\s+(?:before|earlier|above|previously|so far|until now|by)\b"
    ),
    "a new role or new instructions": (
        rf"\byou are now\b{_NO_ROLE}"
        r"|\bnew (?:system )?(?:instructions?|task|goal|objective|role)"
        r"(?: for you| from (?:the |your )?(?:system|admin\w*|developers?|operators?|owner|security team))?\s*:"
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
_DROP_ANCHORS = ("ignor", "disregard", "forget", "overrid", "bypass", "discard", "follow")
ANCHORS: dict[str, tuple[str, ...]] = {
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
        ",ai",
        ":ai",
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
    "an order to drop what it goes by": _DROP_ANCHORS,
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
"""Without any of these in a text in lower case, its white space as single spaces, a sign is not there: most texts are
done with after a look for words."""
STRONG_ANCHORS = (
    *_DROP_ANCHORS,
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
WEAK = {what: re.compile(source, re.IGNORECASE) for what, source in _WEAK_SIGNS.items()}


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
_SPACE = r"[^!-~]"
"""Whatever is no visible ASCII character: RE2 knows no white space beyond ASCII."""
_NO_STOP = r"[^!-&()+\-./;-@\[-\^`{-~]*"
"""From an order to drop to what is to be dropped: over lines, and no further than a sentence goes."""
SIGNS = (
    (
        rf"(?:ignor|disregard|forget|overrid|bypass|discard|not follow|n't follow|stop following){_NO_STOP}"
        r"(?:instru|istruz|prompt|rule|guideline|direct|order|training|guardrail|programming|polic|restrict|safety"
        r"|command|constraint"
        r"|told|taught|above|before|consigne|r[eè]gle|rdenes|reg[lr]as|regole)"
    ),
    rf"ignorier|missacht|vergiss|oublie|olvid|esque[cç]a|negeer|zignoruj|nceki{_SPACE}",
    r"игнорируй|забудь|忽略|无视|忘记|忽視|無視|忘れ|무시|잊|تجاهل|अनदेखा|नज़रअंदाज़",
    (
        r"<\|(?:im_start|system|start_header)|\[/?inst\]|<</?sys>>|</?(?:system|tool_result|function_results"
        r"|instructions?)"
    ),
    (
        rf"(?:^|\n)(?:{_SPACE}|[#*])*(?:system|developer|admin)(?:{_SPACE}|[a-z*])*:"
        rf"|\n{_SPACE}*(?:human|assistant){_SPACE}*:"
    ),
    (
        r"\b(?:ai|llms?|language models?|chatbots?|claude|chatgpt|gpt|gemini|copilot)\b"
        rf"(?:{_SPACE}|[a-z-])*(?:[:,!-]|reading|processing|summari|that|must|should|are )|if you are an?|as an ai"
    ),
    (rf"(?:do not|don't|never|without){_SPACE}+(?:tell|mention|inform|reveal|alert|notify|report|disclos|show)"),
    (
        r"you are now|new (?:system )?(?:instruct|task|goal|objective|role)|your (?:new|real|true|actual|only) |from"
        r" now on"
        r"|unrestricted|uncensored|(?:as|to be|like) (?:an? )?dan\b|developer mode|jailbroken"
        r"| mode (?:is )?(?:enabled|on|activated)"
    ),
    (
        r"you (?:must|have to|are (?:required|instructed|ordered))"
        rf"|(?:immediately|instead,?|now){_SPACE}+(?:call|run|execute|invoke|send"
        r"|delete|transfer|visit|fetch|open|close|approve|wire)"
    ),
    f"(?-i:{'|'.join(re.escape(piece) for piece in _BASE64_SIGNS)})",
    r"[\x{e0020}-\x{e007e}]",
    r"[\x{200b}-\x{200d}\x{2060}\x{feff}][\x{200b}-\x{200d}\x{2060}\x{feff}]",
)
"""Without any of these (RE2, letter case aside) a text holds no order: see `stores.steering`. Of the weak signs one
kind is left out, the most common, to give something away: an order needs two."""
