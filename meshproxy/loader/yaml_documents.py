"""YAML text → plain values that know their lines, over libyaml's events.

Events rather than PyYAML's constructors: they keep line numbers, and leave scalars, duplicate
keys and aliases to us. JSON is YAML here, as it is to Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from meshproxy.base.errors import ConfigError, Finding
from meshproxy.loader.scalars import resolve

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 64
MAX_ALIASED_NODES = 100_000
"""Nodes that aliases may stand for, in all: a "billion laughs" file stops here."""

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE_TAG = "tag:yaml.org,2002:"
_CORE_TAGS = frozenset({"str", "int", "float", "bool", "null", "map", "seq"})


class Map(dict[str, Any]):
    """A mapping that knows the line of each of its values."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class Seq(list[Any]):
    """A sequence that knows the line of each of its items."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []


def parse_documents(file: str, data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) for each document that is not empty.

    Raises `ConfigError` with one finding at the first thing that is not YAML; what came
    before it has been yielded.
    """
    text = _decode(file, data)
    parser = _PARSER(text)
    try:
        yield from _Builder(file, parser).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise _failure(file, mark.line + 1 if mark else 1, f"not valid YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _failure(file, line, f"the character {error.character!r} is not allowed in YAML") from None
    except yaml.YAMLError as error:
        raise _failure(file, 1, f"not valid YAML: {error}") from None
    finally:
        parser.dispose()


def _decode(file: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _failure(file, 1, f"the file has {len(data)} bytes, more than the {MAX_BYTES} that are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _failure(file, line, f"byte {error.start} is not UTF-8; save the file as UTF-8") from None


def _failure(file: str, line: int, message: str) -> ConfigError:
    return ConfigError([Finding(file=file, line=line, message=message)])


class _Builder:
    """Builds values from events with a stack of its own, so that nesting cannot exhaust Python's."""

    def __init__(self, file: str, parser: Any) -> None:
        self._file = file
        self._next_event = parser.get_event
        self._check_event = parser.check_event
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliased = 0
        self._nodes = 0

    def documents(self) -> Iterator[tuple[int, Any]]:
        while self._check_event():
            event = self._next_event()
            if type(event).__name__ != "DocumentStartEvent":
                continue
            self._anchors.clear()
            line = event.end_mark.line + 1
            value, line = self._document(line)
            if value is not None:
                yield line, value

    def _document(self, line: int) -> tuple[Any, int]:
        """The value of the document that has begun, and the line it begins on."""
        holder = Seq(line)
        stack: list[Map | Seq] = [holder]
        keys: list[tuple[str, int] | None] = [None]
        starts: list[tuple[str | None, int]] = [(None, 0)]  # anchor, nodes seen before
        self._nodes = 0
        while True:
            event = self._next_event()
            kind = type(event).__name__
            if kind == "DocumentEndEvent":
                return (holder[0], holder.lines[0]) if holder else (None, line)
            here = event.start_mark.line + 1
            self._nodes += 1
            if kind == "ScalarEvent":
                value = self._scalar(event, here)
                if event.anchor:
                    self._anchors[event.anchor] = (value, 1)
                self._attach(stack[-1], keys, value, here)
            elif kind == "AliasEvent":
                self._attach(stack[-1], keys, self._alias(event.anchor, here), here)
            elif kind in ("MappingStartEvent", "SequenceStartEvent"):
                self._check_tag(event, here)
                container: Map | Seq = Map(here) if kind == "MappingStartEvent" else Seq(here)
                if isinstance(stack[-1], Map) and keys[-1] is None:
                    raise self._failure(here, "a mapping's key must be a string")
                stack.append(container)
                keys.append(None)
                starts.append((event.anchor, self._nodes))
                if len(stack) > MAX_DEPTH:
                    raise self._failure(here, f"nested more than {MAX_DEPTH} levels deep")
            else:  # MappingEndEvent or SequenceEndEvent
                done = stack.pop()
                keys.pop()
                anchor, before = starts.pop()
                if anchor:
                    self._anchors[anchor] = (done, self._nodes - before)
                self._attach(stack[-1], keys, done, done.line)

    def _attach(self, container: Map | Seq, keys: list[tuple[str, int] | None], value: Any, line: int) -> None:
        if isinstance(container, Seq):
            container.append(value)
            container.lines.append(line)
            return
        key = keys[-1]
        if key is None:
            keys[-1] = (self._key(container, value, line), line)
        else:
            container[key[0]] = value
            container.lines[key[0]] = line if not isinstance(value, Map | Seq) else key[1]
            keys[-1] = None

    def _key(self, container: Map, key: Any, line: int) -> str:
        if isinstance(key, bool) or key is None:
            key = {None: "null", True: "true", False: "false"}[key]
        elif isinstance(key, int | float):
            key = str(key)
        if key == "<<":
            raise self._failure(line, "merge keys (<<) are not part of YAML 1.2; write the fields out")
        if key in container:
            first = container.lines[key]
            raise self._failure(line, f"the key {key!r} is here twice; it was already given on line {first}")
        return str(key)

    def _alias(self, anchor: str, line: int) -> Any:
        if anchor not in self._anchors:
            raise self._failure(line, f"the alias *{anchor} refers to nothing that is complete before it")
        value, nodes = self._anchors[anchor]
        self._aliased += nodes
        self._nodes += nodes  # so that what contains the alias is as large as what it stands for
        if self._aliased > MAX_ALIASED_NODES:
            raise self._failure(line, f"aliases stand for more than {MAX_ALIASED_NODES} values")
        return value

    def _scalar(self, event: Any, line: int) -> Any:
        tag = self._check_tag(event, line)
        if event.style or tag == "str":
            return event.value
        return resolve(event.value)

    def _check_tag(self, event: Any, line: int) -> str:
        tag: str = event.tag or ""
        if tag in ("", "!"):
            return ""
        name = tag.removeprefix(_CORE_TAG)
        if name == tag or name not in _CORE_TAGS:
            shown = tag if name == tag else f"!!{name}"
            raise self._failure(line, f"the tag {shown} means nothing here; remove it")
        return name

    def _failure(self, line: int, message: str) -> ConfigError:
        return _failure(self._file, line, message)
