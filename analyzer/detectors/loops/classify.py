"""What a call is for and how it went, by the names and texts that agents use.

Names decide first, then what the command says, then what came back. Unknown tools count as neither read nor write where
that matters: a rule that needs a read stays silent, and a call never seen before is taken for work.
"""

from __future__ import annotations

import re
from functools import lru_cache

from analyzer.types.steps import Step
from analyzer.types.trace import ErrorClass, Operation, Status

_HEAD, _TAIL = 400, 400
"""Characters at either end of an output in which a failure announces itself."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


def _names(text: str) -> frozenset[str]:
    """Return the words of a list, which reads better in a paragraph than one a line."""
    return frozenset(re.findall(r"\w+", text))


_READ = _names(
    """read get list search find fetch query select show view describe lookup look grep glob cat ls head tail open
    scan inspect retrieve browse check count status poll wait diff stat screenshot observe explain recall load
    navigate visit scroll snapshot tree whois resolve ask analyze analyse summarize summarise preview crawl
    extract sql ping probe"""
)
_WRITE = _names(
    """write edit create insert update delete remove replace patch apply send post put set commit push move rename
    add submit book pay refund charge cancel upload save install deploy start stop restart kill approve assign
    close merge publish reply click type press fill drag buy order transfer schedule register execute_trade
    mkdir todo append modify drop store remember"""
)
_POLL = _names("status poll wait sleep watch heartbeat health healthcheck progress await alive ready tail")
_POLL_NOUNS = _names("job task run build deployment workflow pipeline operation queue execution")
_POLL_VERBS = _names("get check describe read show")
_ONWARD = _names("scroll next forward advance continue more paginate skip undo redo")
_SHELL = _names("bash shell terminal sh zsh powershell command cmd exec execute run console")
_SHELL_WRITES = re.compile(
    r"(?:^|[\s;&|(])(?:rm|mv|cp|mkdir|touch|tee|chmod|chown|ln|patch|dd|truncate|kill|install|make)\s"
    r"|sed\s+-\w*i|>\s*[^&\s]|git\s+(?:add|commit|checkout|reset|apply|stash|merge|rebase|push|pull|revert|bisect)"
    r"|(?:pip|npm|apt|apt-get|cargo|yarn)\s+(?:install|i|add|remove)|apply_patch|<<",
    re.IGNORECASE,
)
_SHELL_READS = re.compile(
    r"^\s*(?:cd\s+\S+\s*(?:&&|;)\s*)?(?:cat|ls|grep|rg|find|head|tail|less|nl|wc|pwd|echo|awk|sed\s+-n"
    r"|git\s+(?:log|show|diff|status|grep|blame)|which|file|stat|tree|curl|env|ps|df|du|ping|dig|nslookup)\b",
    re.IGNORECASE,
)
_SLEEP = re.compile(r"\bsleep\s+\d|\bwait(?:ing)?\b.{0,20}\b(?:for|until)\b|\btail\s+-f", re.IGNORECASE)
_SQL_WRITE = re.compile(
    r"\b(?:insert\s+into|update\s+\w+\s+set|delete\s+from|drop|alter|create|merge\s+into)\b", re.IGNORECASE
)
_SQL_READ = re.compile(r"\bselect\b[\s\S]{1,4000}\bfrom\b", re.IGNORECASE)
_PENDING = re.compile(
    r"\b(?:running|pending|queued|in[ _-]progress|processing|waiting|starting|not[ _]ready|building|deploying|"
    r"initiali[sz]ing)\b",
    re.IGNORECASE,
)
_TERMINAL = re.compile(
    r"\b(?:completed?|succeeded|success|finished|done|failed|cancell?ed|terminated|aborted|expired|stopped|exited"
    r"|closed)\b",
    re.IGNORECASE,
)
_OUTAGE = re.compile(
    r"\b(?:429|529|503|rate[ _-]?limit\w*|too many requests|overloaded\w*|service unavailable|quota exceeded|"
    r"resource[ _]exhausted|throttl\w+|capacity)\b",
    re.IGNORECASE,
)
_FAILED_HEAD = re.compile(
    r"^\W*(?:error|exception|fatal|traceback|failed|failure|usage error|invalid|unknown (?:tool|function|command)|"
    r"no such (?:tool|file|function)|permission denied|access denied|unauthori[sz]ed|forbidden|not found|cannot|"
    r"could not|unable to|(?:file|path|directory|table|column|tool|function) \S* ?does not exist|"
    r"\w*(?:Error|Exception)\b)|^\W*(?:HTTP[ /\d.]*)?[45]\d\d\b",
    re.IGNORECASE,
)
_FAILED_ANYWHERE = re.compile(
    r"Traceback \(most recent call last\)|^\s*\w+(?:Error|Exception):|[\"'](?:is_error|isError)[\"']\s*:\s*true"
    r"|[\"']error[\"']\s*:\s*(?:[\"'{]\s*\w|true)|command not found|<(?:error|tool_error|tool_use_error)>"
    r"|\[error\] |fatal: |: error: "
    r"|[\"'](?:status|code|statusCode|status_code)[\"']\s*:\s*[\"']?[45]\d\d\b|[\"']success[\"']\s*:\s*false",
    re.MULTILINE,
)
_FAILED_MARKS = ("rror", "Traceback", "Exception", "command not found", "fatal: ", "tatus", "ode", "success")
_EXIT_MARKS = ("exit", "Exit", "eturn", "rc", "EXIT")
_EXIT = re.compile(
    r"(?:exit(?:ed)?(?:[ _]?(?:with|code|status))*|return ?code|rc)[\"']?\s*[:=>]*\s*\(?([1-9]\d*)",
    re.IGNORECASE,
)
_FAILING = re.compile(
    r"\b(?:fail(?:ed|ure|ures|s|ing)?|errors?|exception|traceback|assert(?:ion)?error|panic|broken|denied|refused|wrong|"
    r"incorrect|rejected|invalid)\b",
    re.IGNORECASE,
)
_NOT_FAILING = re.compile(
    r"\b(?:0|no|zero)\s+(?:fail\w*|errors?)|\b(?:failures?|errors?|failed)[\"']?\s*[:=]\s*0\b", re.IGNORECASE
)
_EMPTY = re.compile(
    r"^\W*(?:no (?:matches|results?|rows?|data|items?|records?|files?|such|more)\b.*|null|none|empty"
    r"|0 (?:rows|results|matches).*|not found.*)?\W*$",
    re.IGNORECASE | re.DOTALL,
)


def is_shell(tool: str) -> bool:
    """Tell whether a tool takes command lines."""
    return bool(words_of(tool) & _SHELL)


def is_onward(tool: str) -> bool:
    """Tell whether equal calls of a tool are meant to lead on: what comes next is in no argument."""
    return bool(words_of(tool) & _ONWARD)


def is_unseen(step: Step) -> bool:
    """Tell whether nothing was recorded of what a call brought: an empty text looks the same and shows as little."""
    # Whether a text announces a failure is only worth looking for where there is none: rules ask this of every step.
    return (
        step.operation is Operation.TOOL and not (step.output or step.status_message).strip() and not is_failure(step)
    )


@lru_cache(maxsize=4096)
def words_of(tool: str) -> frozenset[str]:
    """Return the words of a tool's name: `getJobStatus` and `get_job_status` are get, job, status."""
    return frozenset(word.lower() for word in _CAMEL.split(tool) if word)


def is_outage(step: Step) -> bool:
    """Tell whether a step failed because a provider was overloaded: retrying that is right, however often."""
    if step.error in {ErrorClass.RATE_LIMIT, ErrorClass.OVERLOADED}:
        return True
    return step.status is Status.ERROR and bool(_OUTAGE.search(f"{step.status_message} {step.output[:_HEAD]}"))


def is_read(tool: str, arguments: str) -> bool:
    """Tell whether a call only looks."""
    words = words_of(tool)
    if _has(arguments, ("select", "SELECT", "Select")) and _SQL_READ.search(arguments) and not words & _WRITE:
        return not _SQL_WRITE.search(arguments)
    if words & _SHELL:
        return bool(_SHELL_READS.search(_command(arguments))) and not is_write(tool, arguments)
    return bool(words & _READ) and not words & _WRITE


def is_write(tool: str, arguments: str) -> bool:
    """Tell whether a call changes something, by its name or its command."""
    words = words_of(tool)
    if words & _SHELL:
        return bool(_SHELL_WRITES.search(_command(arguments)))
    return bool(words & _WRITE) or bool(_SQL_WRITE.search(arguments))


def is_poll(tool: str, arguments: str, output: str) -> bool:
    """Tell whether a call waits for something outside: asking again is its purpose."""
    words = words_of(tool)
    if words & _POLL or (words & _POLL_NOUNS and words & _POLL_VERBS):
        return True
    if _has(arguments, ("sleep", "wait", "tail")) and _SLEEP.search(arguments[:2000]):
        return True
    if len(output) >= 2 * _HEAD or not words & _READ or words & _WRITE:
        return False
    return bool(_PENDING.search(output)) and not _failed_text(output)


def is_terminal(output: str) -> bool:
    """Tell whether what a poll returned says that there is nothing left to wait for."""
    head = output[:_HEAD]
    return bool(_TERMINAL.search(head)) and not _PENDING.search(head)


def is_failure(step: Step) -> bool:
    """Tell whether a step failed, also where the tool says so only in its text."""
    return step.status is Status.ERROR or _failed_text(step.output)


def _failed_text(output: str) -> bool:
    head = output[:_HEAD]
    ends = head if len(output) <= _HEAD else f"{head}\n{output[-_TAIL:]}"
    if _FAILED_HEAD.match(head) or (_has(ends, _FAILED_MARKS) and _FAILED_ANYWHERE.search(ends)):
        return True
    if not _has(ends, _EXIT_MARKS):
        return False
    code = _EXIT.search(ends)
    # grep, diff and test end with 1 to say "no": that is an answer. With words of failure beside it, it is one.
    return code is not None and (code.group(1) != "1" or bool(_FAILING.search(_EXIT.sub("", head))))


def is_failing(output: str) -> bool:
    """Tell whether an answer reports failure in a wider sense: a red test run, a rejected attempt."""
    text = output[: 2 * _HEAD] + output[-_TAIL:]
    return bool(_FAILING.search(text)) and not _NOT_FAILING.search(text)


def is_empty(output: str) -> bool:
    """Tell whether an answer says "nothing there"."""
    return len(output) < _HEAD and bool(_EMPTY.match(output))


def _has(text: str, marks: tuple[str, ...]) -> bool:
    """Tell whether one of the marks is there at all: a hundredth of the price of the expression that decides."""
    return any(mark in text for mark in marks)


def _command(arguments: str) -> str:
    """Return the command line of a shell call: its JSON wrapped or not."""
    match = re.match(r'^\s*\{\s*"(?:command|cmd|code|script|input)"\s*:\s*"(.*)', arguments, re.DOTALL)
    return match.group(1).replace('\\"', '"').replace("\\n", "\n") if match else arguments
