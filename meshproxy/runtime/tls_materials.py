"""Keys, certificates and roots for the workers, wherever they are: the configuration, files, our own identity.

What cannot be used never replaces what is in force. A snapshot names materials and holds none, so that they are
neither written to the state directory nor shown; a worker is given them before its first configuration and
whenever they change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from meshproxy.aio.file_changes import FileChanges
from meshproxy.aio.tasks import OwnedTasks
from meshproxy.aio.watch import Watch
from meshproxy.base.errors import MeshproxyError
from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.dataplane.tls.contexts import MaterialProblem, check_material
from meshproxy.identity.inventory import CERTIFICATE, CRL, ROOT, Listed
from meshproxy.identity.revocation import check_lists
from meshproxy.identity.svid import IdentityError
from meshproxy.snapshot.identity import Identity
from meshproxy.snapshot.tls import IDENTITY, TLSFiles, TLSMaterial

MAX_FILE = 131072
"""Bytes of a text, as of those in a Secret."""
MAX_MATERIAL = 3 * MAX_FILE
"""Bytes of all its texts: it must fit a packet, and by default Linux takes some 416 KiB (`net.core.wmem_max`)."""


class _Unreadable(MeshproxyError):
    """A file is not what it should be; the message says which and why."""


class TLSMaterials:
    """Owns what is in force, by name. `changed` is told what to give to the workers, `gone` the names that remain."""

    def __init__(
        self,
        identity: Watch[Identity | None],
        changed: Callable[[Sequence[TLSMaterial]], None],
        gone: Callable[[Iterable[str]], None],
        on_event: EventSink,
    ) -> None:
        self._identity = identity
        self._changed = changed
        self._gone = gone
        self._on_event = on_event
        self._in_force: dict[str, TLSMaterial] = {}
        self._problems: dict[str, str] = {}
        self._files: tuple[TLSFiles, ...] = ()
        self._tasks = OwnedTasks()
        self._watching: asyncio.Task[None] | None = None

    def current(self) -> tuple[TLSMaterial, ...]:
        """What a worker that starts is to be given."""
        return tuple(self._in_force.values())

    def listed(self) -> Iterator[Listed]:
        """Every certificate, but for the identity's, which its keeper lists."""
        for name, material in self._in_force.items():
            if name == IDENTITY:
                continue
            if material.certificate_chain:
                yield Listed(CERTIFICATE, name, material.certificate_chain)
            if material.trust_bundle:
                yield Listed(ROOT, name, material.trust_bundle)
            if material.crl:
                yield Listed(CRL, name, material.crl)

    def problems(self) -> Mapping[str, str]:
        """What cannot be used, by name, and why; an older one may be in force."""
        return self._problems

    def configure(self, materials: Sequence[TLSMaterial], files: tuple[TLSFiles, ...]) -> None:
        """Have these besides; what the configuration does not need any more goes with `keep_only`."""
        identity = self._identity.value
        if identity is not None:  # workers are to have it before the configuration that needs it
            self._take([_of_identity(identity)])
        self._take(materials)
        if files != self._files:
            self._files = files
            self._look_at_files()
            self._watch_files()

    async def run(self) -> None:
        """Follow this proxy's identity and the files until cancelled."""
        try:
            async for identity in self._identity.updates():
                if identity is not None:
                    self._take([_of_identity(identity)])
                elif IDENTITY in self._in_force:
                    del self._in_force[IDENTITY]
                    self._gone(tuple(self._in_force))
        finally:
            await self._tasks.cancel()

    def keep_only(self, names: Iterable[str]) -> None:
        """Every worker has a configuration that refers to `names`, and perhaps the identity, and nothing else."""
        wanted = {IDENTITY, *names}
        self._problems = {name: each for name, each in self._problems.items() if name in wanted}
        if not self._in_force.keys() <= wanted:
            self._in_force = {name: each for name, each in self._in_force.items() if name in wanted}
            self._gone(tuple(self._in_force))

    # -- files ---------------------------------------------------------------------------

    def _watch_files(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        named = (path for each in self._files for path in (each.certificate, each.key, each.roots, each.crl))
        paths = [Path(path) for path in named if path]
        if paths:
            self._watching = self._tasks.start(FileChanges(paths).run(self._look), name="TLS files")

    async def _look(self) -> float | None:
        self._look_at_files()
        return None

    def _look_at_files(self) -> None:
        found = []
        for each in self._files:
            try:
                found.append(_read(each))
            except _Unreadable as problem:
                self._complain(each.name, str(problem))
        self._take(found)

    # -- what is found -------------------------------------------------------------------

    def _take(self, materials: Iterable[TLSMaterial]) -> None:
        """Put those in force that differ and can be used."""
        new = []
        for each in materials:
            if self._in_force.get(each.name) == each:
                self._problems.pop(each.name, None)  # what was wrong for a while was taken back
            elif self._is_usable(each):
                new.append(each)
        self._in_force.update((each.name, each) for each in new)
        if new:
            self._changed(new)

    def _is_usable(self, material: TLSMaterial) -> bool:
        texts = (material.certificate_chain, material.private_key, material.trust_bundle, material.crl)
        size = sum(len(text.encode()) for text in texts)
        if size > MAX_MATERIAL:
            self._complain(material.name, f"{material.name}: has {size} bytes; {MAX_MATERIAL} are the most")
            return False
        try:
            without_list = _roots_without_list(material)
            check_material(material)
        except MaterialProblem as problem:
            self._complain(material.name, str(problem))
            return False
        self._problems.pop(material.name, None)
        if without_list:
            message = f"there is no revocation list of {', '.join(without_list[:3])}; whoever chains to it is refused"
            self._warn("RevocationListMissing", f"{material.name}: {message}")
        return True

    def _complain(self, name: str, problem: str) -> None:
        """Say it once."""
        if self._problems.get(name) != problem:
            self._problems[name] = problem
            then = "the one before stays in force" if name in self._in_force else "handshakes that need it are refused"
            self._warn("CertificateUnusable", f"{problem}; {then}")

    def _warn(self, reason: str, message: str) -> None:
        self._on_event(Event(type=EventType.WARNING, reason=reason, subject="TLS", message=message))


def _of_identity(identity: Identity) -> TLSMaterial:
    return TLSMaterial(
        IDENTITY,
        identity.certificate_chain,
        identity.private_key,
        identity.trust_bundle,
        identity.trust_domain,
        identity.spiffe_id,
        identity.crl,
    )


def _roots_without_list(material: TLSMaterial) -> tuple[str, ...]:
    """Those of which no revocation list is there, though others have one; raises `MaterialProblem`."""
    if not material.crl or not material.trust_bundle:
        return ()
    try:
        return check_lists(material.crl, material.trust_bundle)
    except IdentityError as error:
        raise MaterialProblem(f"{material.name}: {error}") from None


def _read(files: TLSFiles) -> TLSMaterial:
    certificate, key, roots, crl = map(_text, (files.certificate, files.key, files.roots, files.crl))
    return TLSMaterial(files.name, certificate, key, roots, crl=crl)


def _text(path: str) -> str:
    """What is in a file; nothing without a path. Raises `_Unreadable`."""
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise _Unreadable(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise _Unreadable(f"{path} is larger than {MAX_FILE} bytes: this is no certificate, key or bundle")
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise _Unreadable(f"{path} is not in PEM") from None
