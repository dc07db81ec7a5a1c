"""The last good resources of each registry on disk, for a start while a registry is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from meshproxy.aio.sealed_file import SealedFile
from meshproxy.base.durations import Duration, Quantity
from meshproxy.loader.explain import decode_special
from meshproxy.resources import FOUND_KINDS, KINDS
from meshproxy.resources.meta import Resource

DIRECTORY = "sources"
_MAGIC = b"meshproxy resources 1\n"
"""The content is a `_Saved` in MessagePack."""

_log = logging.getLogger(__name__)


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """`age` is how many seconds ago the source stood behind its resources."""

    resources: tuple[Resource, ...]
    age: float


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    """`address` is where the registry was: what another one said is of no use. `saved_at` is since 1970."""

    address: str
    saved_at: float
    resources: list[Any]


class SavedSources:
    """A directory with a file for each registry. `wall_clock` gives seconds since 1970."""

    def __init__(self, state_dir: Path, wall_clock: Callable[[], float]) -> None:
        self._directory = state_dir / DIRECTORY
        self._wall_clock = wall_clock

    def save(self, name: str, address: str, resources: tuple[Resource, ...]) -> None:
        """Keep what `name`, the registry at `address`, has just said."""
        saved = _Saved(address=address, saved_at=self._wall_clock(), resources=list(resources))
        self._file(name).write(msgspec.msgpack.encode(saved, enc_hook=_encode_special))

    def load(self, name: str, address: str) -> Restored | None:
        """What was saved; None where there is nothing, or a warning says why it cannot be used."""
        file = self._file(name)
        content = file.read()
        if content is None:
            return None
        try:
            saved = msgspec.msgpack.decode(content, type=_Saved)
            if saved.address != address:
                return None
            resources = tuple(_restored(each) for each in saved.resources)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            _log.warning("%s cannot be used: %s", file.path, error)
            return None
        return Restored(resources=resources, age=max(0.0, self._wall_clock() - saved.saved_at))

    def _file(self, name: str) -> SealedFile:
        path = self._directory / name.replace("/", ".")
        return SealedFile(path, _MAGIC, f"what source {name} said last")


def _restored(document: Any) -> Resource:
    kind = (KINDS | FOUND_KINDS)[document["apiVersion"], document["kind"]]
    return msgspec.convert(document, kind, dec_hook=decode_special)


def _encode_special(value: Any) -> Any:
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, Quantity):
        return int(value)
    raise NotImplementedError(type(value))
