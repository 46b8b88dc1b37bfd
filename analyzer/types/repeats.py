"""Which spans of a trajectory only report another one again. Pure, linear, for any tree of parents, broken ones too.

Instrumentation is layered: the SDK, OpenTelemetry and OpenInference each report one model call, nested in each other;
an agent framework reports a tool call that the MCP client and the MCP server report as well. What is read here are
numbers and names alone: the store decides by rows that hold no payloads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from analyzer.types.trace import Operation, Span, Status

_HOPS_MAX = 8
"""Spans of transport between two reports of one call: a client's request, a proxy, a server's request."""
_MCP = "mcp"
"""Stands in the scope of every instrumentation of the protocol: `mcp-python-sdk`, Traceloop's `...mcp`."""
_SEPARATORS = "_./:-"
"""What stands between a server's name and a tool's where an agent joins them: `mcp__docs__search`, `docs.search`."""


def repeats_of(spans: Sequence[Span]) -> dict[str, str]:
    """Map each span that only reports another one again to the span that counts, which is itself no repeat.

    - **An inference inside an inference** is the same call, and of all such reports the innermost with tokens counts.
      Where an inference holds several, they are the calls, and the outer one is their sum; an attempt that failed
      before another one carried tokens stays a call of its own.
    - **A tool span inside a tool span** is the same call where it has the same name, or none of its own (Claude Code's
      `tool.execution`), and the outer one counts. Another library may leave out the server's name before the tool's;
      of an MCP server's calls any name will do where the tool around makes only the one.
    - **Through spans of transport** (HTTP, JSON-RPC) the same holds between reports of two libraries.
    - **Inferences with one response id** are one call, wherever they stand.
    """
    by_id = {span.span_id: span for span in spans}
    repeats: dict[str, str] = {}
    nested: dict[str, list[Span]] = {}
    served: dict[str, list[str]] = {}
    for span in spans:
        if not (span.operation.is_inference or span.operation is Operation.TOOL):
            continue
        outer, is_direct = _outer(span, by_id)
        if outer is None or outer.operation is not span.operation:
            continue
        if span.operation is Operation.TOOL:
            if _is_same_tool_call(outer, span, is_direct=is_direct):
                repeats[span.span_id] = outer.span_id
            elif _MCP in span.scope and _MCP not in outer.scope:
                served.setdefault(outer.span_id, []).append(span.span_id)
        elif is_direct or _is_same_inference(outer, span):
            nested.setdefault(outer.span_id, []).append(span)
    repeats |= {calls[0]: outer for outer, calls in served.items() if len(calls) == 1}
    if nested:
        repeats |= _nested_inferences(by_id, nested)
    repeats |= _shared_responses(spans, repeats)
    return _resolved(repeats, by_id)


def completed(spans: Sequence[Span], repeats: Mapping[str, str] | None = None) -> tuple[Span, ...]:
    """Return the spans, those that count with the texts that only a repeated report of them carries.

    The anthropic SDK reports every call, without its words unless asked for; OpenTelemetry's instrumentation around it
    has the words. Which of them counts is settled by the tokens, and what was said belongs to the call.
    """
    repeats = repeats_of(spans) if repeats is None else repeats
    borrowed: dict[str, dict[str, str]] = {}
    for span in spans:
        if span.span_id in repeats:
            texts = borrowed.setdefault(repeats[span.span_id], {})
            texts.update({name: text for name in _TEXTS if (text := getattr(span, name)) and name not in texts})
    if not any(borrowed.values()):
        return tuple(spans)
    return tuple(_with(span, borrowed.get(span.span_id, {})) for span in spans)


def _with(span: Span, texts: Mapping[str, str]) -> Span:
    wanted = _TEXTS if span.status is Status.ERROR else _TEXTS[:-1]
    missing = {name: texts[name] for name in wanted if name in texts and not getattr(span, name)}
    return replace(span, **missing) if missing else span  # type: ignore[arg-type]


_TEXTS = ("input", "output", "system", "tool_definitions", "status_message")
"""The last one only where the call failed as seen by the report that counts, too."""


def _outer(span: Span, by_id: Mapping[str, Span]) -> tuple[Span | None, bool]:
    """Return the nearest span around this one that is more than transport, and whether it is its parent."""
    inner = span
    for hop in range(_HOPS_MAX):
        outer = by_id.get(inner.parent_id or "")
        if outer is None or outer is span:
            return None, False
        if outer.operation is not Operation.OTHER:
            return outer, hop == 0
        inner = outer
    return None, False


def _is_same_tool_call(outer: Span, inner: Span, *, is_direct: bool) -> bool:
    if inner.tool_call_id and outer.tool_call_id and inner.tool_call_id != outer.tool_call_id:
        # A tool that calls itself: every call has an id of its own.
        return False
    if inner.tool is None or (is_direct and inner.tool == outer.tool):
        return is_direct
    if inner.scope == outer.scope or outer.tool is None:
        # One library names a tool in one way, and does not report a call from both of its ends.
        return False
    head = outer.tool.removesuffix(inner.tool)
    return head != outer.tool and (not head or head[-1] in _SEPARATORS)


def _is_same_inference(outer: Span, inner: Span) -> bool:
    """Whether a gateway behind transport reports its client's call: another library, and no other count of tokens."""
    if outer.scope == inner.scope:
        return False
    counts = (outer.tokens, inner.tokens)
    return None in counts or len({(each.input, each.output) for each in counts if each is not None}) == 1


def _nested_inferences(by_id: Mapping[str, Span], nested: Mapping[str, Sequence[Span]]) -> dict[str, str]:
    repeats: dict[str, str] = {}
    order = list(_outermost_first(nested))
    carrying = set()
    for span_id in reversed(order):
        if by_id[span_id].tokens is not None or any(one.span_id in carrying for one in nested.get(span_id, ())):
            carrying.add(span_id)
    for span_id in order:
        inner = nested.get(span_id, ())
        if not inner:
            continue
        carried = [one for one in inner if one.span_id in carrying]
        if span_id in repeats:
            # An outer report carries the tokens and none of the inner ones does.
            if not carried:
                repeats |= {one.span_id: span_id for one in inner}
        elif carried:
            repeats[span_id] = carried[-1].span_id
            empty = (one for one in inner if one.span_id not in carrying and one.status is not Status.ERROR)
            repeats |= {one.span_id: span_id for one in empty}
        elif by_id[span_id].tokens is not None:
            repeats |= {one.span_id: span_id for one in inner}
        else:
            repeats[span_id] = inner[-1].span_id
    return repeats


def _outermost_first(nested: Mapping[str, Sequence[Span]]) -> Iterator[str]:
    """Yield the ids of nested spans, each after the one around it; a circle of parents is entered at its first."""
    inner = {one.span_id for group in nested.values() for one in group}
    seen: set[str] = set()
    for start in (*(span_id for span_id in nested if span_id not in inner), *nested):
        stack = [start]
        while stack:
            span_id = stack.pop()
            if span_id in seen:
                continue
            seen.add(span_id)
            yield span_id
            stack += [one.span_id for one in nested.get(span_id, ())]


def _shared_responses(spans: Sequence[Span], repeats: Mapping[str, str]) -> dict[str, str]:
    """Fold what counts so far and has a response id in common, into the first of them that carries tokens."""
    first: dict[str, Span] = {}
    found: dict[str, str] = {}
    for span in spans:
        if span.operation is not Operation.CHAT or not span.response_id or span.span_id in repeats:
            continue
        known = first.setdefault(span.response_id, span)
        if known is span:
            continue
        if known.tokens is None and span.tokens is not None:
            first[span.response_id] = span
            found[known.span_id] = span.span_id
        else:
            found[span.span_id] = known.span_id
    return found


def _resolved(repeats: Mapping[str, str], by_id: Mapping[str, Span]) -> dict[str, str]:
    """Return what each repeat comes to in the end; of spans that repeat each other in a circle one counts."""
    ends: dict[str, str] = {}
    for span_id in repeats:
        path: dict[str, None] = {}
        at = span_id
        while at in repeats and at not in ends and at not in path:
            path[at] = None
            at = repeats[at]
        end = ends.get(at, at)
        if at in path:
            circle = list(path)[list(path).index(at) :]
            end = next((one for one in circle if by_id[one].tokens is not None), at)
        ends |= dict.fromkeys((one for one in path if one != end), end)
    return ends
