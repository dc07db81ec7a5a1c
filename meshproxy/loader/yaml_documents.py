"""YAML text → plain values that know their lines, over libyaml's events.

Events rather than PyYAML's constructors: they keep line numbers, and leave scalars, duplicate
keys and aliases to us. JSON is YAML here, as it is to Kubernetes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from meshproxy.base.errors import Finding
from meshproxy.loader.decoding import Unreadable, decode
from meshproxy.loader.nodes import Map, Seq
from meshproxy.loader.scalars import resolve

MAX_DEPTH = 64
MAX_ALIASED_NODES = 100_000
"""Nodes that aliases may stand for, in all: a "billion laughs" file stops here."""

Parser = Callable[[str], Any]
"""Makes PyYAML's `get_event` out of a text."""
Report = Callable[[Finding], None]

DEFAULT_PARSER: Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML was built with it."""

_CORE_TAG = "tag:yaml.org,2002:"
_CORE_TAGS = frozenset({"str", "int", "float", "bool", "null", "map", "seq"})


def parse_documents(
    file: str, data: bytes, report: Report, parser: Parser = DEFAULT_PARSER
) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) for each document that is not empty.

    What is wrong is reported. Reading goes on after duplicate keys, merge keys and foreign tags,
    and ends where the text stops being YAML.
    """
    text = ""
    try:
        text = decode(data)
        events = parser(text)
        try:
            yield from _Builder(file, events.get_event, report).documents()
        finally:
            events.dispose()
    except Unreadable as error:
        report(Finding(file=file, line=error.line, message=error.message))
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        report(Finding(file=file, line=_line_of(error, text), message=f"not valid YAML: {problem}"))
    except yaml.YAMLError as error:
        report(Finding(file=file, line=1, message=f"not valid YAML: {error}"))


def _line_of(error: yaml.MarkedYAMLError, text: str) -> int:
    """Where people should look; an end that comes too early is on the last line, not after it."""
    mark = error.problem_mark or error.context_mark
    return min(mark.line + 1, len(text.splitlines())) if mark else 1


class _Open:
    """A container that has begun: `key` is its pending key, `height` how deep what it holds is nested."""

    __slots__ = ("anchor", "container", "height", "key", "key_line", "nodes_before")

    def __init__(self, container: Map | Seq, anchor: str | None, nodes_before: int) -> None:
        self.container = container
        self.anchor = anchor
        self.nodes_before = nodes_before
        self.key: str | None = None
        self.key_line = 0
        self.height = 1


class _Anchored:
    """A value that an alias can stand for, how many nodes it has and how deep they are nested."""

    __slots__ = ("height", "nodes", "value")

    def __init__(self, value: Any, nodes: int, height: int) -> None:
        self.value = value
        self.nodes = nodes
        self.height = height


class _Builder:
    """Builds values from events with a stack of its own, so that nesting cannot exhaust Python's."""

    def __init__(self, file: str, next_event: Callable[[], Any], report: Report) -> None:
        self._file = file
        self._next_event = next_event
        self._report = report
        self._anchors: dict[str, _Anchored] = {}
        self._aliased = 0
        self._nodes = 0

    def documents(self) -> Iterator[tuple[int, Any]]:
        while True:
            event = self._next_event()
            kind = type(event)
            if kind is StreamEndEvent:
                return
            if kind is DocumentStartEvent:
                self._anchors.clear()
                self._nodes = 0
                holder = self._document(event.end_mark.line + 1)
                if holder and holder[0] is not None:
                    yield holder.lines[0], holder[0]

    def _document(self, line: int) -> Seq:
        """The document that has begun, as the one item of a sequence."""
        stack = [_Open(Seq(line), None, 0)]
        while True:
            event = self._next_event()
            kind = type(event)
            if kind is ScalarEvent:
                self._nodes += 1
                self._scalar(stack[-1], event)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self._nodes += 1
                self._begin(stack, event)
            elif kind is AliasEvent:
                self._alias(stack, event)
            elif kind is DocumentEndEvent:
                holder = stack[0].container
                assert isinstance(holder, Seq)
                return holder
            else:  # the end of a mapping or a sequence
                self._end(stack)

    def _scalar(self, parent: _Open, event: Any) -> None:
        line = event.start_mark.line + 1
        if event.tag:
            value = self._tagged(event, line)
        else:
            value = event.value if event.style else resolve(event.value)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, 1, 0)
        self._put(parent, value, line)

    def _begin(self, stack: list[_Open], event: Any) -> None:
        line = event.start_mark.line + 1
        if event.tag:
            self._checked_tag(event, line)
        container: Map | Seq = Map(line) if type(event) is MappingStartEvent else Seq(line)
        if len(stack) > MAX_DEPTH:
            raise Unreadable(line, f"nested more than {MAX_DEPTH} levels deep")
        stack.append(_Open(container, event.anchor, self._nodes - 1))

    def _end(self, stack: list[_Open]) -> None:
        done = stack.pop()
        if done.anchor:
            self._anchors[done.anchor] = _Anchored(done.container, self._nodes - done.nodes_before, done.height)
        parent = stack[-1]
        parent.height = max(parent.height, done.height + 1)
        self._put(parent, done.container, done.container.line)

    def _alias(self, stack: list[_Open], event: Any) -> None:
        line = event.start_mark.line + 1
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            raise Unreadable(line, f"the alias *{event.anchor} refers to nothing that is complete before it")
        self._aliased += anchored.nodes
        self._nodes += anchored.nodes  # so that what contains the alias is as large as what it stands for
        if self._aliased > MAX_ALIASED_NODES:
            raise Unreadable(line, f"aliases stand for more than {MAX_ALIASED_NODES} values")
        if len(stack) - 1 + anchored.height > MAX_DEPTH:
            raise Unreadable(line, f"nested more than {MAX_DEPTH} levels deep, by the alias *{event.anchor}")
        parent = stack[-1]
        parent.height = max(parent.height, anchored.height + 1)
        self._put(parent, anchored.value, line)

    def _put(self, parent: _Open, value: Any, line: int) -> None:
        container = parent.container
        if type(container) is Seq:
            container.append(value)
            container.lines.append(line)
        elif parent.key is None:
            parent.key = value if type(value) is str else self._key(value, line)
            parent.key_line = line
        else:
            self._put_field(container, parent.key, value, parent.key_line if isinstance(value, Map | Seq) else line)
            parent.key = None

    def _put_field(self, container: Any, key: str, value: Any, line: int) -> None:
        if key in container:
            message = f"the key {key!r} is here twice; it was already given on line {container.lines[key]}"
            self._say(line, message)
        elif key == "<<":
            self._say(line, "merge keys (<<) are not part of YAML 1.2; write the fields out")
        else:
            container[key] = value
            container.lines[key] = line

    def _key(self, key: Any, line: int) -> str:
        """A key that is not a string, as one: what JSON would have there."""
        if isinstance(key, Map | Seq):
            raise Unreadable(line, "a mapping's key must be a string")
        if isinstance(key, bool) or key is None:
            return {None: "null", True: "true", False: "false"}[key]
        return str(key)

    def _tagged(self, event: Any, line: int) -> Any:
        """The value of a scalar with a tag: ``!!str 80`` and ``! 80`` are strings, ``!!int "80"`` is a number."""
        tag = self._checked_tag(event, line)
        as_text = tag in ("str", "!") or (event.style and not tag)
        return event.value if as_text else resolve(event.value)

    def _checked_tag(self, event: Any, line: int) -> str:
        """The name of a tag of YAML's core schema; others are reported, and left out."""
        tag: str = event.tag
        name = tag.removeprefix(_CORE_TAG)
        if tag == "!" or (name != tag and name in _CORE_TAGS):
            return name
        self._say(line, f"the tag {tag if name == tag else f'!!{name}'} means nothing here; remove it")
        return ""

    def _say(self, line: int, message: str) -> None:
        self._report(Finding(file=self._file, line=line, message=message))
